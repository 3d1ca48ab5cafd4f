"""Every promise has its row, and every row names tests and commands that exist."""

from __future__ import annotations

import re

import pytest

from bench.__main__ import BENCHMARKS
from tests.docs.markdown import read
from tests.docs.named import TEST, defined, missing

FILE = "docs/guarantees.md"
ROWS = dict(re.findall(r"^\| ([GS]\d+) \| (.+) \|$", read(FILE), re.MULTILINE))
COMMAND = re.compile(r"`(make|python -m bench) ([\w-]+)`")


def test_every_promise_has_a_row() -> None:
    assert [name for name in ROWS if name.startswith("G")] == [f"G{number}" for number in range(1, 23)]
    assert [row.count(" | ") for row in ROWS.values()] == [2] * len(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_every_row_names_what_holds_us_to_it(name: str) -> None:
    by = ROWS[name].rpartition(" | ")[2]
    assert TEST.search(by) or COMMAND.search(by) or by == "none"


@pytest.mark.parametrize("name", ROWS)
def test_every_test_that_is_named_exists(name: str) -> None:
    assert missing(ROWS[name]) == []


def test_every_command_that_is_named_exists() -> None:
    commands = COMMAND.findall(read(FILE))
    targets = set(re.findall(r"^([\w-]+):", read("Makefile"), re.MULTILINE))
    known = {"make": targets, "python -m bench": set(BENCHMARKS)}
    assert commands
    assert [(tool, name) for tool, name in commands if name not in known[tool]] == []


def test_a_test_that_is_gone_would_be_found() -> None:
    assert "test_every_promise_has_a_row" in defined("tests/docs/test_guarantees.py")
    assert "test_that_is_gone" not in defined("tests/docs/test_guarantees.py")
    assert "TestObservations" in defined("tests/generations/test_state.py")
