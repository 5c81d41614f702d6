"""Discovery by metadata, as it is found on a real path: broken, doubled, editable and shadowed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest
from keyclave.backends.catalog import GROUP, Catalog
from keyclave.backends.origin import foreign_origin
from keyclave.backends.policy import PluginPolicy
from keyclave.backends.requirements import unmet_requirement

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write the metadata of a distribution into a directory that comes first on the path."""

    def write_distribution(
        name: str, entry_points: bytes | str, *, site: str = "site", metadata: str | None = None, **files: str
    ) -> Path:
        directory = tmp_path / site
        info = directory / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n" if metadata is None else metadata
        )
        text = f"[{GROUP}]\n{entry_points}\n".encode() if isinstance(entry_points, str) else entry_points
        (info / "entry_points.txt").write_bytes(text)
        for file, content in files.items():
            (info / file).write_text(content)
        if str(directory) not in sys.path:
            monkeypatch.syspath_prepend(str(directory))
        return directory

    return write_distribution


def test_one_broken_distribution_hides_no_other(write: Write) -> None:
    write("no_value", "only-a-name")
    write("not_text", b"[keyclave.backends]\nx = \xff\xfe")
    write("no_name", "nameless = nowhere", metadata="")
    write("fine", "fine = somewhere")
    catalog = Catalog(PluginPolicy())
    assert "fine" in catalog.offers
    assert "software" in catalog.offers
    broken = {r.distribution: r for r in catalog.refused if r.name == "?"}
    assert set(broken) == {"no_value-1.0.dist-info", "not_text-1.0.dist-info", "no_name-1.0.dist-info"}
    assert {(r.state.value, r.stage) for r in broken.values()} == {("failed", "discovery")}
    assert all(r.reason.startswith("its metadata cannot be read (") for r in broken.values())


@pytest.mark.parametrize("name", ["Upper", "two words", "under_score", "1st", "a" * 64])
def test_a_name_that_settings_could_not_hold_is_refused(write: Write, name: str) -> None:
    write("named", f"{name} = somewhere")
    (report,) = [r for r in Catalog(PluginPolicy()).refused if r.name == name]
    assert (report.state, report.stage) == ("failed", "discovery")


def test_of_one_distribution_installed_twice_the_first_counts(write: Write) -> None:
    write("dist", "plugin = second", site="second")
    write("Dist", "plugin = first", site="first")
    assert Catalog(PluginPolicy()).offers["plugin"].entry_point.value == "first"


def test_one_entry_point_declared_twice_is_one_and_two_are_a_conflict(write: Write) -> None:
    write("same", "same = there\nsame = there")
    write("other", "other = here\nother = there")
    catalog = Catalog(PluginPolicy())
    assert catalog.offers["same"].entry_point.value == "there"
    reasons = {r.reason for r in catalog.refused if r.name == "other"}
    assert reasons == {"the name is offered by other (here) and other (there)"}


@pytest.mark.parametrize("name", ["keyclave-tpm", "Keyclave_TPM", "keyclave.tpm"])
def test_a_first_party_distribution_is_known_by_its_normalised_name(write: Write, name: str) -> None:
    write(name, "tpm = somewhere")
    assert Catalog(PluginPolicy()).offers["tpm"].first_party


@pytest.mark.parametrize(
    ("requires", "fits"),
    [
        (["keyclave"], True),
        (["Keyclave>=0.1,<0.2"], True),
        (["keyclave>=0.1"], True),
        (["keyclave>=0.2"], False),
        (["keyclave<0.1"], False),
        (["keyclave==0.1.*", "keyclave>=1"], False),
        (["keyclave>=9; python_version < '3'"], True),
        (["keyclave>=9; extra == 'later'"], True),
        (["other>=9"], True),
        (["keyclave @ https://"], True),
        (["keyclave !"], False),
        (["keyclave; nonsense == '1'"], False),
    ],
)
def test_the_required_version_of_keyclave(requires: list[str], fits: bool) -> None:  # noqa: FBT001  a column
    assert (unmet_requirement(requires, "0.1.0") is None) is fits


def test_a_development_version_of_keyclave_satisfies_what_its_release_will() -> None:
    assert unmet_requirement(["keyclave>=0.1"], "0.2.0.dev1") is None


def origin(directory: Path, name: str = "dist") -> str | None:
    (entry_point,) = PathDistribution(directory / f"{name}-1.0.dist-info").entry_points.select(group=GROUP)
    return foreign_origin(entry_point)


def test_code_that_the_distribution_lists_is_its_own(write: Write) -> None:
    directory = write("dist", "plugin = listed_module", RECORD="listed_module.py,,\n")
    assert origin(directory) == "its module listed_module is not installed"
    (directory / "listed_module.py").write_text("raise SystemExit")
    assert origin(directory) is None


def test_code_that_the_distribution_does_not_list_is_not_its_own(write: Write) -> None:
    directory = write("dist", "plugin = unlisted_module", RECORD="another.py,,\n")
    (directory / "unlisted_module.py").write_text("raise SystemExit")
    assert "found in a file that the distribution did not install" in (origin(directory) or "")


def test_a_module_added_to_a_listed_package_is_not_its_own(write: Write) -> None:
    directory = write("dist", "plugin = listed_package.added", RECORD="listed_package/__init__.py,,\n")
    (directory / "listed_package").mkdir()
    (directory / "listed_package" / "__init__.py").write_text("raise SystemExit")
    (directory / "listed_package" / "added.py").write_text("raise SystemExit")
    assert (origin(directory) or "").startswith("its module listed_package.added is found in a file that")


def test_an_editable_distribution_has_its_code_below_its_source(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "the source"
    (source / "src").mkdir(parents=True)
    direct = json.dumps({"url": source.as_uri(), "dir_info": {"editable": True}})
    directory = write("dist", "plugin = edited_module", **{"direct_url.json": direct, "RECORD": ""})
    monkeypatch.syspath_prepend(str(source / "src"))
    (source / "src" / "edited_module.py").write_text("raise SystemExit")
    assert origin(directory) is None
    (directory / "edited_module.py").write_text("raise SystemExit")
    monkeypatch.syspath_prepend(str(directory))
    assert "did not install" in (origin(directory) or "")


def test_without_a_list_of_files_the_code_lies_beside_the_metadata(write: Write, tmp_path: Path) -> None:
    directory = write("dist", "plugin = beside_module")
    (directory / "beside_module.py").write_text("raise SystemExit")
    assert origin(directory) is None
    elsewhere = write("elsewhere", "plugin = beside_module", site="elsewhere")
    assert "did not install" in (origin(elsewhere, "elsewhere") or "")


def test_an_entry_point_without_a_distribution_has_no_origin() -> None:
    (entry_point,) = Catalog(PluginPolicy()).offers["software"].entry_point.dist.entry_points.select(group=GROUP)  # type: ignore[union-attr]
    assert foreign_origin(entry_point) is None
    bare = type(entry_point)(name="software", value=entry_point.value, group=GROUP)
    assert foreign_origin(bare) == "its distribution is unknown"
