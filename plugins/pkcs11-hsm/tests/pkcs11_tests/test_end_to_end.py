"""An application with its keys in a token: created, used, rotated, recovered and destroyed through the core."""

from __future__ import annotations

import json
from pathlib import Path

import keyclave
import pytest
from keyclave.errors import IntegrityError
from pkcs11_tests.backends import settings_of
from pkcs11_tests.proxy import Proxy

from tests.services.tokens import Token

MESSAGE = b"a message"


def configure(directory: Path, token: Token) -> Path:
    settings = {key: value for key, value in settings_of(token).items() if value is not None}
    settings["allowed_modules"] = list(map(str, settings["allowed_modules"]))
    lines = [
        f"{key} = {json.dumps(value if isinstance(value, list) else str(value))}" for key, value in settings.items()
    ]
    config = directory / "keyclave.toml"
    config.write_text(
        f"[state]\ndirectory = {json.dumps(str(directory / 'state'))}\n"
        '[environment]\ntype = "local"\n[backends.vault]\nplugin = "pkcs11-hsm"\n' + "\n".join(lines) + "\n"
    )
    return config


@pytest.mark.parametrize("algorithm", ["ECDSA_P256", "RSA_2048"])
def test_a_key_lives_its_life_in_a_token(token: Token, tmp_path: Path, algorithm: str) -> None:
    with keyclave.open(configure(tmp_path, token), principal="tester") as clave:
        created = clave.keys.create("release", algorithm, backend="vault")
        assert created.provider_uri.startswith("pkcs11:token=")
        signed = clave.keys.sign("release", MESSAGE)
        assert clave.keys.verify("release", MESSAGE, signed.signature) == 1
    with keyclave.open(configure(tmp_path, token), principal="tester") as clave:
        assert clave.keys.verify("release", MESSAGE, signed.signature) == 1
        clave.keys.verify("release", b"another", clave.keys.sign("release", b"another").signature)
        clave.keys.revoke("release", "the test is over")


@pytest.mark.needs("softhsm")
def test_data_is_encrypted_in_a_token(softhsm_token: Token, tmp_path: Path) -> None:
    with keyclave.open(configure(tmp_path, softhsm_token), principal="tester") as clave:
        clave.keys.create("data", "AES_256", backend="vault")
        ciphertext = clave.keys.encrypt("data", MESSAGE, aad=b"context")
        assert clave.keys.decrypt("data", ciphertext, aad=b"context") == MESSAGE


@pytest.mark.needs("softhsm")
@pytest.mark.needs("cc")
def test_a_signature_of_another_key_is_not_released(proxied: Token, proxy: Proxy, tmp_path: Path) -> None:
    with keyclave.open(configure(tmp_path, proxied), principal="tester") as clave:
        for name in ("one", "other"):
            clave.keys.create(name, "ECDSA_P256", backend="vault")
            clave.keys.sign(name, MESSAGE)
        proxy.swap_all()
        with pytest.raises(IntegrityError, match="wrong"):
            clave.keys.sign("one", MESSAGE)
        proxy.reset()
        clave.keys.sign("one", MESSAGE)
