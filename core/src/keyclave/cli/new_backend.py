"""``keyclave new-backend``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from keyclave import __version__
from keyclave.cli.command import command
from keyclave.cli.session import Session

__all__ = ["new_backend"]


@command("new-backend", example="keyclave new-backend acme-hsm")
@click.argument("name")
@click.option("--directory", metavar="DIR", help="Directory to make. Without it: keyclave-NAME, here.")
def new_backend(session: Session, *, name: str, directory: str | None) -> None:
    """Write the package of a new backend.

    NAME is what settings will write as `plugin`: the maker first, such as acme-hsm. The package works as it is
    written, with keys in memory, and passes its contract tests but for what needs keys to outlive the process;
    replace its store by your device. Nothing is overwritten.
    """
    from keyclave.cli.scaffold.names import substitutions  # noqa: PLC0415  not needed for --help
    from keyclave.cli.scaffold.writing import write  # noqa: PLC0415  as above
    from keyclave.plugin.contract import CONTRACTS  # noqa: PLC0415  as above

    names = substitutions(name, __version__, CONTRACTS[-1], datetime.now(UTC).date())
    target = Path(directory or names["distribution"])
    written = write(target, names)
    session.answer(
        {"directory": str(target), "files": list(written), **names},
        *(f"Wrote {target / path}" for path in written),
        f'Next: python -m pip install --editable "{target}[test]", then python -m pytest {target}',
    )
