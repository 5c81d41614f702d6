"""The words of the suite: groups, levels, costs, the states of a result, and what a report's evidence is worth."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Cost", "Evidence", "Group", "Level", "State"]


class Group(StrEnum):
    """What a check is about."""

    KEYS = "keys"
    SIGN = "sign"
    ENCRYPT = "encrypt"
    WRAP = "wrap"
    VERSIONS = "versions"
    USAGE = "usage"
    ERRORS = "errors"
    NAMES = "names"
    CONCURRENCY = "concurrency"
    DURABILITY = "durability"
    HEALTH = "health"
    REDACTION = "redaction"
    MODEL = "model"
    VECTORS = "vectors"


class Level(StrEnum):
    """What a backend earns by passing every check of a level; each level needs CORE as well."""

    CORE = "Core"
    SIGN = "Sign"
    ENCRYPT = "Encrypt"
    WRAP = "Wrap"
    ROTATE = "Rotate"
    DURABLE = "Durable"
    PARALLEL = "Parallel"
    HARDWARE = "Hardware"


class Cost(StrEnum):
    """How many calls to the backend one run of a check makes at the standard budget.

    Attributes:
        QUICK: at most 5.
        MODERATE: 6 to 60.
        HEAVY: more than 60.
    """

    QUICK = "quick"
    MODERATE = "moderate"
    HEAVY = "heavy"


class State(StrEnum):
    """How a check ended for one subject. There is no "skipped".

    Attributes:
        PASS: the property held.
        FAIL: the backend broke the property, or made too few calls for the check to mean anything.
        ERROR: the check could not be carried out: the connection, the environment, or the suite itself.
        UNSUPPORTED: probed: the call was made, raised ``CapabilityUnsupported``, and changed nothing.
        KNOWN_FAIL: it failed as the ledger of known failures says, and the entry has not expired.
        NOT_RUN: the budget or a filter left it out.
    """

    PASS = "PASS"  # noqa: S105  a state, not a password
    FAIL = "FAIL"
    ERROR = "ERROR"
    UNSUPPORTED = "UNSUPPORTED"
    KNOWN_FAIL = "KNOWN-FAIL"
    NOT_RUN = "NOT-RUN"


class Evidence(StrEnum):
    """What was tested.

    Attributes:
        LIVE: the product itself.
        EMULATOR: an emulator of a service.
        SIMULATOR: a simulator of a device.
    """

    LIVE = "live"
    EMULATOR = "emulator"
    SIMULATOR = "simulator"
