"""SoftHSM2 tokens for the tests alone: a configuration and a store of their own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.services.catalog import library, program
from tests.services.tokens import PIN, Token, write_private

__all__ = ["make_tokens"]

# Without reset_on_fork a child goes on with a copy of its parent's sessions, as no card and no network HSM lets it.
_CONFIGURATION = """\
directories.tokendir = {store}
objectstore.backend = file
log.level = ERROR
slots.removable = false
library.reset_on_fork = true
"""


def make_tokens(directory: Path, *labels: str) -> dict[str, Token]:
    """Make a store below ``directory`` with a token for each label, and return the tokens by their labels.

    SoftHSM2 looks for its configuration, and for its tokens, once in the life of a process: all tokens that a test
    process needs are made before it loads the module.
    """
    store = directory / "tokens"
    store.mkdir(mode=0o700)
    configuration = directory / "softhsm2.conf"
    configuration.write_text(_CONFIGURATION.format(store=store))
    environment = {"SOFTHSM2_CONF": str(configuration)}
    module, pin_file = library("softhsm"), write_private(directory / "pin", PIN + "\n")
    assert module is not None
    for label in labels:
        _initialise(label, environment)
    return {label: Token(module, label, pin_file, environment=environment) for label in labels}


def _initialise(label: str, environment: dict[str, str]) -> None:
    tool = program("softhsm", "softhsm2-util")
    assert tool is not None
    subprocess.run(
        [tool, "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", f"so-{PIN}"],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
    )
