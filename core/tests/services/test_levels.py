"""A key is used in a backend of its level only, also when its backend was replaced by a weaker one (FR-014)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from keyclave import Keyclave
from keyclave.errors import PolicyViolation

from core.tests.services.conftest import Reopen

STRICT = '[environment]\ntype = "local"\nrequired_level = "TPM"\nprecedence = ["acme"]\n'
WITHOUT = '[environment]\ntype = "local"\n'
USES: dict[str, Callable[[Keyclave], object]] = {
    "sign": lambda clave: clave.keys.sign("s", b"message"),
    "encrypt": lambda clave: clave.keys.encrypt("e", b"message"),
    "rotate": lambda clave: clave.rotation.rotate("s"),
}


@pytest.mark.parametrize("use", USES)
def test_fr_014_a_weaker_backend_is_not_used(acme: str, reopen: Reopen, use: str) -> None:
    strong = reopen(STRICT + acme + 'level = "TPM"\n', without=WITHOUT)
    strong.keys.create("s", "ED25519")
    strong.keys.create("e", "AES_256")
    signature = strong.keys.sign("s", b"message").signature
    strong.close()
    weak = reopen(STRICT + acme + 'level = "SOFTWARE"\n', without=WITHOUT)
    with pytest.raises(PolicyViolation, match="the key requires TPM, and its backend shows SOFTWARE"):
        USES[use](weak)
    assert weak.recovery.open_intents() == ()
    assert [v.version for v in weak.keys.versions("s")] == [1]
    assert weak.keys.verify("s", b"message", signature) == 1
