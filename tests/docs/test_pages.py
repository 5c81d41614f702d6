"""Every code block of the documentation does what the page says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.docs.markdown import PAGES, ROOT, blocks
from tests.docs.run import Page

FOLLOWED_ELSEWHERE = {ROOT / "docs/tutorial/write-a-backend.md"}
"""Pages that install something: tests/packaging/test_new_backend.py has an environment for it."""

# The blocks that no test here runs, and why.
NOT_RUN = {
    "README.md": 2,  # `bash setup`: tests/packaging runs the first, .ci/run is the second
    "CONTRIBUTING.md": 2,  # `text`: the tree, and commands that take minutes
    "contract-tests/README.md": 1,  # `text`: the same page in docs/how-to is run
    "core/README.md": 1,  # `text`: it needs a package index
    "docs/how-to/adopt.md": 2,  # `text`: it needs a device; core/tests/cli/test_keys.py has a backend that adopts
    "docs/how-to/recover.md": 2,  # `text`: it needs a backend that is away; core/tests/services/test_recovery.py
    "docs/how-to/migrate.md": 1,  # `text`: it needs a source that was kept for 30 days; core/tests/services has one
    "docs/explanation/migration.md": 1,  # `mermaid`: a picture
    "docs/how-to/restore.md": 1,  # `text`: it needs a server, as in core/tests/services/test_restored.py
    "docs/explanation/key-states.md": 2,  # `mermaid`: pictures
    "docs/how-to/aws.md": 7,  # `text`: they need an account of AWS; plugins/aws/tests has emulators
    "docs/how-to/operate.md": 1,  # `text`: it does not end by itself; core/tests/cli/test_process.py interrupts it
    "docs/how-to/fleet.md": 2,  # `text`: it needs machines and a server; tests/fleet has processes
    "docs/how-to/postgresql.md": 3,  # `text`: it needs a server; core/tests/services/test_on_postgresql.py has one
    "docs/how-to/run-the-contract.md": 1,  # `text`: a ledger; contract-tests/tests/test_ledger.py reads one like it
    "docs/tutorial/first-key.md": 1,  # `text`: the same
    "docs/how-to/pkcs11-hsm.md": 2,  # `text`: it needs a package index; p11-kit's configuration, as in tests/services
}

NEEDS = {
    "docs/how-to/fallback.md": "softhsm",
    "docs/how-to/migrate.md": "softhsm",
    "docs/how-to/pkcs11-hsm.md": "softhsm",
    "docs/how-to/policy.md": "softhsm",
    "docs/how-to/run-the-contract.md": "softhsm",
}


def _cases() -> Iterator[ParameterSet]:
    for path in (page for page in PAGES if page not in FOLLOWED_ELSEWHERE):
        name = str(path.relative_to(ROOT))
        yield pytest.param(path, id=name, marks=[pytest.mark.needs(NEEDS[name])] if name in NEEDS else [])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory of its own, and an empty working directory."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir(mode=0o700)
    work.mkdir()
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    return home


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("path", list(_cases()))
def test_page(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "[environment]" not in path.read_text():  # it is for somebody's own machine, and the tests may run in a cloud
        monkeypatch.setenv("KEYCLAVE_ENVIRONMENT__TYPE", "local")
    page = Page(path)
    for block in blocks(path):
        if block.runs:
            page.run(block)


def test_what_is_not_run_is_known() -> None:
    skipped = {str(page.relative_to(ROOT)): sum(not block.runs for block in blocks(page)) for page in PAGES}
    assert {page: number for page, number in skipped.items() if number} == NOT_RUN


def test_the_second_command_is_what_ci_runs() -> None:
    _, second = (block.text for block in blocks(ROOT / "README.md") if block.kind == "bash setup")
    assert (ROOT / ".ci/run").read_text().endswith(f"\n\n{second}")
