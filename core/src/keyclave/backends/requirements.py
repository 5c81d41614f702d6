"""Whether a plugin was made for this version of Keyclave, asked of its metadata before it is imported."""

from __future__ import annotations

from collections.abc import Iterable

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

__all__ = ["unmet_requirement"]


def unmet_requirement(requires: Iterable[str], version: str) -> str | None:
    """Return why this version of keyclave is not one that the requirements allow, or ``None`` if it is.

    Args:
        requires: the requirements of a distribution, each as `PEP 508 <https://peps.python.org/pep-0508/>`_ says.
        version: the installed version of keyclave.

    >>> unmet_requirement(["keyclave>=2", "cryptography"], "0.1.0")
    'it requires keyclave>=2, and keyclave 0.1.0 is installed'
    >>> unmet_requirement(["keyclave<1,>=0.1"], "0.1.0")
    """
    for text in requires:
        try:
            requirement = Requirement(text)
            applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        except (InvalidRequirement, ValueError):
            return "its metadata holds a requirement that cannot be read"
        if canonicalize_name(requirement.name) != "keyclave" or not applies:
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            return f"it requires {requirement}, and keyclave {version} is installed"
    return None
