"""Every guarantee is stated and has its list of tests, and every list names tests and commands that exist."""

from __future__ import annotations

import re

import pytest

from bench.__main__ import BENCHMARKS
from tests.docs.markdown import read
from tests.docs.named import TEST, defined, missing

FILE = "docs/guarantees.md"
STATED = re.findall(r"^- \*\*([GS]\d+)\. ", read(FILE), re.MULTILINE)
TESTS = dict(re.findall(r"^- \*\*([GS]\d+)\*\*.*\n((?:  .*\n)*)", read(FILE), re.MULTILINE))
COMMAND = re.compile(r"`(make|python -m bench) ([\w-]+)`")


def test_every_guarantee_is_stated_and_has_its_tests() -> None:
    assert [name for name in STATED if name.startswith("G")] == [f"G{number}" for number in range(1, 23)]
    assert len([name for name in STATED if name.startswith("S")]) == 12
    assert list(TESTS) == STATED


@pytest.mark.parametrize("name", TESTS)
def test_every_list_names_tests_that_exist(name: str) -> None:
    named = [line for line in TESTS[name].splitlines() if line.startswith("  - ")]
    assert named
    assert [line for line in named if not TEST.fullmatch(line.removeprefix("  - "))] == []
    assert missing(TESTS[name]) == []


def test_every_command_that_is_named_exists() -> None:
    commands = COMMAND.findall(read(FILE))
    targets = set(re.findall(r"^([\w-]+):", read("Makefile"), re.MULTILINE))
    known = {"make": targets, "python -m bench": set(BENCHMARKS)}
    assert commands
    assert [(tool, name) for tool, name in commands if name not in known[tool]] == []


def test_a_missing_test_is_found() -> None:
    assert "test_every_list_names_tests_that_exist" in defined("tests/docs/test_guarantees.py")
    assert "test_that_is_gone" not in defined("tests/docs/test_guarantees.py")
    assert "TestObservations" in defined("tests/generations/test_state.py")
