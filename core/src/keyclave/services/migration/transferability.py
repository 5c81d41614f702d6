"""Whether and how one version of a key can move to another backend (FR-012).

The answer comes from what both backends implement and say of themselves, and from what the version is; there is no
table of backends. Nothing is asked of a backend, so that a plan changes nothing in one.
"""

from __future__ import annotations

from collections.abc import Iterator

from keyclave.backends.backend import Backend
from keyclave.models import KeyStatus, MigrationStrategy, SecurityLevel, get_algorithm
from keyclave.plugin import AlgorithmSupport, Record
from keyclave.services.backends.selection import refused_by_ability
from keyclave.services.handles import algorithm_of, is_wrappable
from keyclave.state.records import StoredKey, StoredVersion

__all__ = ["Transferability", "transferability"]

_GOING = (KeyStatus.ACTIVE, KeyStatus.DEPRECATED)


class Transferability(Record, frozen=True, kw_only=True):
    """What a migration of one version would be.

    Attributes:
        strategy: WRAPPED if the key itself moves, REKEYED if a new key takes over; ``None`` if it is refused.
        reason: why, in words.
        requires: the level that the key requires from then on: its own one, or the lower one of the destination that
            an exception lets it move to.
        method: how the key is wrapped; ``None`` unless it is.
        downgrade: what protection the key loses, in words; ``None`` if it loses none. It is refused unless a policy
            exception is recorded.
        consequences: what else whoever approves it must know, a sentence each.
    """

    strategy: MigrationStrategy | None
    reason: str
    requires: SecurityLevel
    method: str | None = None
    downgrade: str | None = None
    consequences: tuple[str, ...] = ()


def transferability(
    source: Backend,
    destination: Backend,
    key: StoredKey,
    version: StoredVersion,
    *,
    environment_requires: SecurityLevel,
    excepted: bool = False,
) -> Transferability:
    """Return how a version would move from the backend that keeps it to another one.

    Args:
        source: the backend that keeps it.
        destination: where it is to go.
        key: the key.
        version: the version of it.
        environment_requires: the level that the environment requires, which no exception lowers.
        excepted: whether a policy exception is recorded that lets this key lose protection.
    """
    refused = next(_refusals(source, destination, key, version, environment_requires), None)
    if refused is not None:
        return Transferability(strategy=None, reason=refused, requires=key.required_security_level)
    algorithm = algorithm_of(key, version)
    obstacle, method = _wrapping(source, destination, algorithm, version)
    strategy = MigrationStrategy.WRAPPED if obstacle is None else MigrationStrategy.REKEYED
    if obstacle is None:
        reason = f"the key itself moves: {source.id!r} wraps it by {method}, and {destination.id!r} imports it"
    elif (refused := _refused_as_new_key(destination, version)) is not None:
        return Transferability(
            strategy=None, reason=f"{obstacle}; and {refused}", requires=key.required_security_level
        )
    else:
        reason = f"a new key in {destination.id!r} takes over: {obstacle}"
    downgrade = _downgrade(source, destination, key)
    level = destination.description.security_level
    if downgrade is not None and not excepted:
        return Transferability(
            strategy=None,
            reason=f"refused as a downgrade: {downgrade}; with a policy exception, {reason}",
            requires=key.required_security_level,
            downgrade=downgrade,
        )
    return Transferability(
        strategy=strategy,
        reason=reason,
        requires=key.required_security_level if level.satisfies(key.required_security_level) else level,
        method=method,
        downgrade=downgrade,
        consequences=tuple(_consequences(source, destination, algorithm, strategy)),
    )


def _refusals(
    source: Backend, destination: Backend, key: StoredKey, version: StoredVersion, required: SecurityLevel
) -> Iterator[str]:
    """Yield what forbids a move in any way, exception or not."""
    if source.id == destination.id:
        yield f"it is kept in {source.id!r} already"
    level = destination.description.security_level
    if not level.satisfies(required):
        yield (
            f"{destination.id!r} shows {level.value}, and the environment requires {required.value} (FR-014), "
            "which no exception lowers"
        )
    if version.destroyed_at is not None:
        yield f"version {version.version} is destroyed"
    if version.status is KeyStatus.PENDING:
        yield f"version {version.version} is under validation: promote it or roll it back first"
    if version.status not in _GOING:
        yield f"version {version.version} is {version.status.value}"
    if refused := refused_by_ability(destination, algorithm_of(key, version)):
        yield f"{destination.id!r} is no place for it: {refused}"


def _wrapping(
    source: Backend, destination: Backend, algorithm: str, version: StoredVersion
) -> tuple[str | None, str | None]:
    """Return why a version cannot move wrapped, or else by which method it can."""
    sends, takes = _support(source, algorithm), _support(destination, algorithm)
    method = next((each for each in takes.import_methods if each in sends.wrap_methods), None)
    if not is_wrappable(version):
        return f"{source.id!r} keeps it as a key that cannot leave, since it was not made wrappable", None
    if not source.has("wrap_key"):
        return f"{source.id!r} releases no keys", None
    if not (destination.has("begin_import") and destination.has("import_key")):
        return f"{destination.id!r} takes no keys from elsewhere", None
    if method is None:
        return (
            f"{source.id!r} wraps {algorithm} keys by {_listed(sends.wrap_methods)}, "
            f"and {destination.id!r} takes them by {_listed(takes.import_methods)}"
        ), None
    if not get_algorithm(algorithm).signs and not _same_form(sends, takes):
        return (
            f"{source.id!r} and {destination.id!r} do not write ciphertexts in the same form, "
            "so that the key would not decrypt there what it encrypted here"
        ), None
    return None, method


def _support(backend: Backend, algorithm: str) -> AlgorithmSupport:
    """Return what a backend says of an algorithm; a key may be older than what its backend says today."""
    return backend.support(algorithm) or AlgorithmSupport(algorithm=algorithm)


def _same_form(one: AlgorithmSupport, other: AlgorithmSupport) -> bool:
    return one.ciphertext_form is not None and one.ciphertext_form == other.ciphertext_form


def _listed(methods: tuple[str, ...]) -> str:
    return " or ".join(methods) or "no method"


def _refused_as_new_key(destination: Backend, version: StoredVersion) -> str | None:
    """Return why no new key in the destination can take over from a version."""
    if version.status is not KeyStatus.ACTIVE:
        return f"version {version.version} is {version.status.value}, so that there is nothing to take over from it"
    if not destination.has("create_key"):
        return f"{destination.id!r} makes no keys"
    return None


def _downgrade(source: Backend, destination: Backend, key: StoredKey) -> str | None:
    level, before = destination.description.security_level, source.description.security_level
    if not level.satisfies(before):
        return f"{source.id!r} shows {before.value}, and {destination.id!r} shows {level.value}"
    if not level.satisfies(key.required_security_level):
        return f"the key requires {key.required_security_level.value}, and {destination.id!r} shows {level.value}"
    return None


def _consequences(
    source: Backend, destination: Backend, algorithm: str, strategy: MigrationStrategy
) -> Iterator[str]:
    if strategy is MigrationStrategy.REKEYED:
        if get_algorithm(algorithm).signs:
            yield "Its public key changes: give verifiers the new one. The old one still verifies what it signed."
        else:
            yield (
                f"What it encrypted until then is decrypted in {source.id!r}, as long as the old version is kept "
                "there: encrypt it anew before you retire that version, or it is lost."
            )
    offered = {each.scheme for each in _support(destination, algorithm).schemes}
    lost = [each.scheme for each in _support(source, algorithm).schemes if each.scheme not in offered]
    if lost:
        yield f"{destination.id!r} does not sign with {', '.join(lost)}."
    if destination.description.simulator:
        yield f"{destination.id!r} is a simulator."
