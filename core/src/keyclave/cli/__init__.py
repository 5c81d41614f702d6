"""The program ``keyclave``: one module a command group, nothing imported that ``--help`` does not need."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the program with the arguments of the process, and leave the process with its exit code."""
    try:
        from keyclave.cli.root import run  # noqa: PLC0415  click may be missing, and the message says so
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.stderr.write("Error: the command line needs the extra 'cli'.\nNext: pip install 'keyclave[cli]'\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("Error: the run was interrupted\n")
        sys.exit(130)
    run()
