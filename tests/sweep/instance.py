"""Instances to interrupt: each is prepared once, and every trial has a copy of it."""

from __future__ import annotations

import os
import shutil
import signal
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pkcs11
from pkcs11.constants import Attribute
from pkcs11.mechanisms import KeyType
from pkcs11.util.ec import encode_named_curve_parameters

from core.tests.services.foreign_keys import foreign_settings, make_foreign_key
from tests.invariants.inventory import adopted_labels, foreign_labels, pkcs11_labels, software_labels
from tests.services import softhsm
from tests.services.tokens import PIN, Token
from tests.sweep.strace import Call

__all__ = ["KILLED", "MAIN", "OTHER", "SHARED", "Instance", "in_child", "softhsm_instance", "software_instance"]

KILLED = -signal.SIGKILL
"""What `in_child` returns of a process that was killed."""
MAIN, SHARED, OTHER = "main", "shared", "other"
"""The backend that is swept, one that has keys of somebody else and destroys keys days later, and a destination."""

_ENVIRONMENT = """\
[environment]
type = "local"
[environment.rotation]
validation_period = "0s"
[state]
directory = "{directory}/state"
"""
_SIGNS_ONLY = {
    Attribute.SIGN_RECOVER: False,
    Attribute.DECRYPT: False,
    Attribute.UNWRAP: False,
    Attribute.DERIVE: False,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
}
_OTHER = """\
[backends.other]
plugin = "software"
"""
_SOFTWARE = """\
[backends.main]
plugin = "software"
"""
_SOFTHSM = """\
[backends.main]
plugin = "pkcs11-hsm"
module = "{module}"
token = "sweep"
pin_file = "{pin_file}"
"""


@dataclass(frozen=True)
class Instance:
    """A directory with settings, state and backends.

    Attributes:
        directory: everything of it is below.
        algorithm: of the keys that it makes.
        module: the PKCS#11 module of its main backend; ``None`` for software.
    """

    directory: Path
    algorithm: str
    module: Path | None = None

    @property
    def config(self) -> Path:
        """Its settings."""
        return self.directory / "keyclave.toml"

    @property
    def state(self) -> Path:
        """The directory of its state."""
        return self.directory / "state"

    @property
    def stored(self) -> tuple[Path, ...]:
        """The directories of what is stored, without the program's own notes."""
        return (self.state, self.directory / SHARED, self.directory / "tokens")

    @property
    def acknowledged(self) -> Path:
        """A line of JSON for each operation that was acknowledged."""
        return self.directory / "acknowledged"

    @property
    def environment(self) -> Mapping[str, str]:
        """What must be set before the module is loaded."""
        return {} if self.module is None else {"SOFTHSM2_CONF": str(self.directory / "softhsm2.conf")}

    def inventory(self) -> dict[str, frozenset[str]]:
        """Return the labels of the keys that are in each backend, read without Keyclave."""
        kept = self.state / "backends" / MAIN
        main = (
            software_labels(kept)
            if self.module is None
            else pkcs11_labels(self.module, "sweep", PIN, self.environment) | adopted_labels(kept)
        )
        other = software_labels(self.state / "backends" / OTHER)
        return {MAIN: main, SHARED: foreign_labels(self.directory / SHARED), OTHER: other}

    def cannot_survive(self, call: Call) -> bool:
        """Return whether a kill there loses the token itself, whoever its client is.

        SoftHSM2 writes the file of a token at each login, and has emptied it before.
        """
        return self.module is not None and call.name == "write" and "/token.object>" in call.about

    def copy(self, target: Path) -> Instance:
        """Copy everything, and let settings point at the copy."""
        shutil.copytree(self.directory, target)
        for name in ("keyclave.toml", "softhsm2.conf"):
            path = target / name
            if path.exists():
                path.write_text(path.read_text().replace(str(self.directory), str(target)))
        return Instance(target, self.algorithm, self.module)


def software_instance(directory: Path) -> Instance:
    """Make an instance with the software backend."""
    directory.mkdir()
    return _with_settings(Instance(directory, "ED25519"), _SOFTWARE)


def softhsm_instance(directory: Path) -> Instance:
    """Make an instance with a token of SoftHSM2."""
    directory.mkdir()
    token = softhsm.make_tokens(directory, "sweep")["sweep"]
    if in_child(partial(_make_their_key, token)) != 0:
        raise RuntimeError("no key could be made in the token")
    settings = _SOFTHSM.format(module=token.module, pin_file=token.pin_file)
    return _with_settings(Instance(directory, "ECDSA_P256", token.module), settings)


def _make_their_key(token: Token) -> None:
    """Put a key into the token that is none of Keyclave's, and that it may adopt."""
    os.environ.update(token.environment)
    found = pkcs11.lib(str(token.module)).get_token(token_label=token.label)
    with found.open(rw=True, user_pin=PIN) as session:
        curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
        session.create_domain_parameters(KeyType.EC, curve, local=True).generate_keypair(
            id=b"\x77", label="theirs", store=True, private_template=_SIGNS_ONLY
        )


def _with_settings(instance: Instance, backend: str) -> Instance:
    shared = instance.directory / SHARED
    make_foreign_key(shared)
    text = (
        _ENVIRONMENT.format(directory=instance.directory)
        + backend
        + _OTHER
        + foreign_settings(shared, deletion_days="7")
    )
    instance.config.write_text(text)
    return instance


def in_child(body: Callable[[], object]) -> int:
    """Run the body in a forked process; return its exit status, negative if it was killed."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            body()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
