"""The names in a new package, all made from one, and refused where they would be somebody else's or none at all."""

from __future__ import annotations

import re
from datetime import date, timedelta

from packaging.version import Version

from keyclave.backends.catalog import FIRST_PARTY
from keyclave.errors import InvalidArgument

__all__ = ["requirement_of", "substitutions"]

_RESERVED = FIRST_PARTY | {"contract-tests"}
_LONGEST = 30
_EXCUSED = timedelta(days=90)
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_PREFIX = "keyclave-"


def substitutions(name: str, version: str, contract: str, today: date) -> dict[str, str]:
    """Return what stands for each placeholder of the template.

    Args:
        name: of the new backend: what settings will write as ``plugin``.
        version: of keyclave.
        contract: the contract version that the package is made for.
        today: when it is written: what it is known to fail at first is excused for 90 days.

    Raises:
        InvalidArgument: the name cannot be one, or belongs to Keyclave's own distributions.

    >>> substitutions("acme-hsm", "0.1.0", "2026.11", date(2026, 11, 26))["package"]
    'keyclave_acme_hsm'
    """
    _require_name(name)
    return {
        "name": name,
        "distribution": f"{_PREFIX}{name}",
        "package": f"{_PREFIX}{name}".replace("-", "_"),
        "prefix": "".join(part.capitalize() for part in name.split("-")),
        "contract": contract,
        "expires": (today + _EXCUSED).isoformat(),
        "requirement": requirement_of("keyclave", version),
        "tests_requirement": requirement_of("keyclave-contract-tests", version),
    }


def requirement_of(distribution: str, version: str) -> str:
    """Return the requirement of a version and of those that are compatible with it by Semantic Versioning.

    >>> requirement_of("keyclave", "0.1.3"), requirement_of("keyclave", "2.4.0")
    ('keyclave>=0.1,<0.2', 'keyclave>=2.4,<3')
    """
    parsed = Version(version)
    below = f"0.{parsed.minor + 1}" if parsed.major == 0 else f"{parsed.major + 1}"
    return f"{distribution}>={parsed.major}.{parsed.minor},<{below}"


def _require_name(name: str) -> None:
    if name.startswith(_PREFIX):
        raise InvalidArgument(
            f"the distribution is called {_PREFIX}NAME already",
            next_step=f"Leave out {_PREFIX!r} at the start of the name.",
        )
    if len(name) > _LONGEST or not _NAME.fullmatch(name):
        raise InvalidArgument(
            "not a name for a backend",
            next_step=f"Use 1 to {_LONGEST} lower case letters, digits and single '-', beginning with a letter.",
        )
    if name in _RESERVED:
        raise InvalidArgument(
            f"{_PREFIX}{name} is one of Keyclave's own distributions",
            next_step="Put the name of whoever makes the backend in front, such as acme-hsm.",
        )
