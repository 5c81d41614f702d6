"""``keyclave health``."""

from __future__ import annotations

from keyclave.cli.command import command
from keyclave.cli.exit_codes import ExitCode
from keyclave.cli.output import print_table
from keyclave.cli.session import Session

__all__ = ["health"]


@command("health", example="keyclave health")
def health(session: Session) -> int:
    """Check every configured backend now.

    Columns: id, status, milliseconds and detail. Exit code 4 says that at least one is unavailable.
    """
    with session.open() as clave:
        results = clave.backends.health()
    if session.as_json:
        session.answer({backend_id: result.model_dump(mode="json") for backend_id, result in results.items()})
    else:
        print_table(
            ("Id", "Status", "ms", "Detail"),
            [
                (backend_id, result.status.value, f"{result.latency.total_seconds() * 1000:.1f}", result.detail)
                for backend_id, result in results.items()
            ],
        )
    unavailable = any(result.status.value == "UNAVAILABLE" for result in results.values())
    return ExitCode.BACKEND if unavailable else ExitCode.DONE
