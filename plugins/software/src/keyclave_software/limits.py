"""Bounds that a stored or configured value must keep, so that no file can make Keyclave weak or exhaust it."""

from __future__ import annotations

__all__ = [
    "FILE_BYTES",
    "HEADER_BYTES",
    "ITERATIONS",
    "LANES",
    "MASTER_KEY_BYTES",
    "MAX_PLAINTEXT",
    "MEMORY_MIB",
    "OPEN_TICKETS",
    "PASSPHRASE_BYTES",
    "WRAPPED_BYTES",
]

MEMORY_MIB = range(64, 1024 + 1)
"""Argon2id memory. RFC 9106 section 4 recommends 64 MiB, three passes and four lanes where memory is scarce."""
ITERATIONS = range(3, 16 + 1)
"""Argon2id passes."""
LANES = range(1, 16 + 1)
"""Argon2id lanes."""
PASSPHRASE_BYTES = range(8, 1024 + 1)
"""Length of a passphrase; NIST SP 800-63B asks for eight characters or more."""
MASTER_KEY_BYTES = 32
"""Length of the master key."""
HEADER_BYTES = 1024
"""Longest header of a key file."""
FILE_BYTES = 16 * 1024
"""Longest key file; that of an RSA-4096 key has less than 3,000 bytes."""
MAX_PLAINTEXT = 64 * 1024
"""Longest plaintext for ``encrypt``, which is meant for data keys."""
WRAPPED_BYTES = 4096
"""Longest wrapped key for ``import_key``; that of an RSA-4096 key has less than 3,000 bytes."""
OPEN_TICKETS = 64
"""Import tickets open at once; the oldest gives way."""
