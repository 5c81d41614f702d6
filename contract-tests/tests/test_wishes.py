"""The command line in a report is the one that was typed, without secrets."""

from __future__ import annotations

from pathlib import Path

from keyclave_contract_tests.wishes import Wishes, command_line

ASKED = Wishes(
    config="other.toml",
    settings=("slot=1", "pin=918273"),
    only="^1-",
    report=Path("out"),
    destructive=True,
    seed=3,
)


def test_it_holds_every_option_that_was_given() -> None:
    words = " ".join(command_line("acme", ASKED, 7, frozenset()))
    assert words == (
        "keyclave conform acme --set slot=1 --set pin=918273 --config other.toml --budget standard --only ^1- "
        "--report out --destructive --seed 7"
    )


def test_of_a_secret_it_holds_the_name_alone() -> None:
    words = command_line("acme", ASKED, 7, {"pin"})
    assert words[3:7] == ("--set", "slot=1", "--set", "pin")
    assert "918273" not in " ".join(words) + repr(ASKED)
