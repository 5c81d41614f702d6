"""The checks: what each one is, and the one list of all of them.

A check is a function of a `Bench` and a `Target`. Its docstring states the property in one sentence. It returns, or
raises a `Violation`. Checks are collected here by importing the package's own modules, and nothing else adds any.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING

import msgspec
from keyclave.models import AlgorithmFamily, get_algorithm
from keyclave.plugin import CONTRACTS, AlgorithmSupport, BackendDescription, Record, SchemeSupport

from keyclave_contract_tests import checks
from keyclave_contract_tests.vocabulary import Cost, Group, Level

if TYPE_CHECKING:
    from keyclave_contract_tests.bench import Bench

__all__ = ["CONTRACT", "Case", "Check", "Per", "Target", "catalogue", "catalogue_sha256", "check"]

CONTRACT = CONTRACTS[-1]
"""The version of the contract that this suite checks."""


class Per(StrEnum):
    """What a check is repeated for.

    Attributes:
        BACKEND: once.
        ALGORITHM: each algorithm.
        SIGNING: each algorithm whose keys sign.
        ENCRYPTING: each algorithm whose keys encrypt.
        SCHEME: each signature scheme of each algorithm.
    """

    BACKEND = "backend"
    ALGORITHM = "algorithm"
    SIGNING = "signing"
    ENCRYPTING = "encrypting"
    SCHEME = "scheme"


class Target(Record, frozen=True, kw_only=True):
    """What a check is run for.

    Attributes:
        algorithm: the algorithm; ``None`` for the backend as a whole.
        scheme: the signature scheme; ``None`` where there is none.
    """

    algorithm: AlgorithmSupport | None = None
    scheme: SchemeSupport | None = None

    def __str__(self) -> str:
        parts = [
            *([self.algorithm.algorithm] if self.algorithm else []),
            *([self.scheme.scheme] if self.scheme else []),
        ]
        return "/".join(parts)

    @property
    def name(self) -> str:
        """The name of the algorithm, where there is one."""
        if self.algorithm is None:
            raise LookupError("the check is for the backend as a whole")
        return self.algorithm.algorithm

    @property
    def signs_with(self) -> SchemeSupport:
        """The scheme, where there is one."""
        if self.scheme is None:
            raise LookupError("the check is not for a scheme")
        return self.scheme


class Check(Record, frozen=True, kw_only=True):
    """One property and how it is checked.

    Attributes:
        number: of the property in the catalogue.
        name: a short name, in words joined by hyphens.
        title: the property in one sentence.
        group: what it is about.
        level: the level that it counts for.
        per: what it is repeated for.
        calls: how many calls one case makes at the standard budget, about.
        keys: how many keys of its own one case makes.
        needs: the hooks without which there is nothing to check.
        optional: the hooks that may refuse a target with ``CapabilityUnsupported``.
        security: whether no ledger may excuse it.
        since: the contract version that it came with.
        only: the algorithms that it is for; empty for all.
        every_size: whether a check that makes keys makes them of every size, and not only of the smallest of each
            family: making an RSA key of 4096 bits takes a device up to a minute.
        last: whether it runs after all others.
        body: the check.
    """

    number: int
    name: str
    title: str
    group: Group
    level: Level
    per: Per
    calls: int
    keys: int
    needs: tuple[str, ...]
    optional: tuple[str, ...]
    security: bool
    since: str
    only: tuple[str, ...]
    every_size: bool
    last: bool
    body: Callable[[Bench, Target], None]

    @property
    def id(self) -> str:
        """The number and the name."""
        return f"{self.number}-{self.name}"

    @property
    def cost(self) -> Cost:
        """The cost class, from the number of calls."""
        if self.calls <= 5:  # noqa: PLR2004  as `Cost` says
            return Cost.QUICK
        return Cost.MODERATE if self.calls <= 60 else Cost.HEAVY  # noqa: PLR2004

    def targets(self, description: BackendDescription) -> Iterator[Target]:
        """Return what it is to be run for."""
        if self.per is Per.BACKEND:
            yield Target()
            return
        for support in self._algorithms(description):
            signs = get_algorithm(support.algorithm).signs
            if self.per is Per.SCHEME:
                yield from (Target(algorithm=support, scheme=scheme) for scheme in support.schemes)
            elif self.per is Per.ALGORITHM or (self.per is Per.SIGNING) is signs:
                yield Target(algorithm=support)

    def _algorithms(self, description: BackendDescription) -> Iterator[AlgorithmSupport]:
        """Return the algorithms that it is for."""
        fitting = [s for s in description.algorithms if not self.only or s.algorithm in self.only]
        if self.every_size or not self.keys:
            yield from fitting
            return
        fitting.sort(key=lambda support: get_algorithm(support.algorithm).key_size)
        families: set[AlgorithmFamily] = set()
        for support in fitting:
            family = get_algorithm(support.algorithm).family
            if family not in families:
                families.add(family)
                yield support


class Case(Record, frozen=True, kw_only=True):
    """One check for one target."""

    check: Check
    target: Target


_checks: dict[int, Check] = {}


def check(
    number: int,
    *,
    group: Group,
    level: Level,
    per: Per = Per.BACKEND,
    calls: int,
    keys: int = 0,
    needs: tuple[str, ...] = (),
    optional: tuple[str, ...] = (),
    security: bool = False,
    only: tuple[str, ...] = (),
    every_size: bool = False,
    last: bool = False,
) -> Callable[[Callable[[Bench, Target], None]], Callable[[Bench, Target], None]]:
    """Add a function to the catalogue; its name is the short name, its docstring the property."""

    def add(body: Callable[[Bench, Target], None]) -> Callable[[Bench, Target], None]:
        added = Check(
            number=number,
            name=body.__name__.replace("_", "-"),
            title=" ".join((body.__doc__ or "").split()),
            group=group,
            level=level,
            per=per,
            calls=calls,
            keys=keys,
            needs=needs,
            optional=optional,
            security=security,
            since=CONTRACT,
            only=only,
            every_size=every_size,
            last=last,
            body=body,
        )
        if number in _checks or not added.title:
            raise ValueError(f"check {added.id} is there already, or states no property")
        _checks[number] = added
        return body

    return add


@cache
def catalogue() -> tuple[Check, ...]:
    """Return every check, by number."""
    for module in pkgutil.iter_modules(checks.__path__, f"{checks.__name__}."):
        importlib.import_module(module.name)
    return tuple(_checks[number] for number in sorted(_checks))


def catalogue_sha256() -> str:
    """Return a hash over what every check is and promises, so that two reports can be compared."""
    listed = [
        (c.id, c.title, c.group, c.level, c.per, c.needs, c.optional, c.security, c.since, c.only)
        for c in catalogue()
    ]
    return hashlib.sha256(msgspec.json.encode(listed)).hexdigest()
