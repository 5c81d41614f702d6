"""What the user asked ``keyclave conform`` for, and the command line that asks for the same again."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from keyclave.plugin import Record

__all__ = ["Wishes", "command_line"]


class Wishes(Record, frozen=True, kw_only=True):
    """What the user asked for; `keyclave.cli.conform` says what each option means."""

    config: str | None = None
    settings: tuple[str, ...] = ()
    budget: str = "standard"
    report: Path | None = None
    baseline: Path | None = None
    ledger: Path | None = None
    only: str | None = None
    product: str | None = None
    seed: int | None = None
    dry_run: bool = False
    sweep: bool = False
    destructive: bool = False
    as_json: bool = False

    def __repr__(self) -> str:  # the settings may hold secrets
        return f"Wishes(budget={self.budget!r})"


def command_line(backend: str, wishes: Wishes, seed: int, secret: Collection[str]) -> tuple[str, ...]:
    """Return the words of the command that makes the same run again.

    Args:
        backend: the backend, as it was named.
        wishes: the options that were given.
        seed: what the random choices came from.
        secret: names of settings whose values must not be shown. Such a ``--set`` stands there without its value,
            and the command is refused until somebody fills it in.
    """
    return ("keyclave", "conform", backend, *_options(wishes, secret), "--seed", str(seed))


def _options(wishes: Wishes, secret: Collection[str]) -> Iterator[str]:
    for text in wishes.settings:
        name, _, _ = text.partition("=")
        yield from ("--set", name if name in secret else text)
    for option in ("config", "budget", "only", "product", "ledger", "baseline", "report"):
        value = getattr(wishes, option)
        if value is not None:
            yield from (f"--{option}", str(value))
    if wishes.destructive:
        yield "--destructive"
    if wishes.as_json:
        yield "--json"
