"""The reference page of the errors, from the classes."""

from __future__ import annotations

import textwrap

from keyclave import errors
from keyclave.cli.exit_codes import exit_code_of

__all__ = ["page"]

_HEAD = """# Errors

Every error that Keyclave raises is in `keyclave.errors` and derives from `KeyclaveError`. It carries `operation`,
`backend_id` and `key_name` where they are known, `retryable`, `next_step`: what to do next, and `provider_reference`:
what the provider calls the call that failed, such as a request id.

"""


def page() -> str:
    """Return the page as Markdown: the tree, then a section for each error."""
    tree = textwrap.dedent((errors.__doc__ or "").split("\n\n")[1])
    return f"{_HEAD}```text\n{tree}\n```\n" + "".join(_section(getattr(errors, name)) for name in errors.__all__)


def _section(cls: type[errors.KeyclaveError]) -> str:
    summary = (cls.__doc__ or "").split("\n\n")[0]
    parent = cls.__bases__[0].__name__
    base = f"`{parent}`" if cls is errors.KeyclaveError else f"[`{parent}`](#{parent.lower()})"
    return (
        f"\n## {cls.__name__}\n\n{' '.join(summary.split())}\n\n"
        f"- Derives from {base}.\n"
        f"- Retryable: {'yes' if cls.default_retryable else 'no'}.\n"
        f"- Next step, unless the error names another: {cls.default_next_step}\n"
        f"- [Exit code](exit-codes.md): {exit_code_of(cls('')).value}.\n"
    )
