"""Every guarantee has its section, and every section names tests and commands that exist."""

from __future__ import annotations

import re

import pytest

from bench.__main__ import BENCHMARKS
from tests.docs.markdown import read
from tests.docs.named import TEST, defined, missing

FILE = "docs/guarantees.md"
SECTIONS = dict(re.findall(r"^### ([GS]\d+)\. .+\n((?:(?!##).*\n)*)", read(FILE), re.MULTILINE))
COMMAND = re.compile(r"`(make|python -m bench) ([\w-]+)`")


def test_every_guarantee_has_a_section() -> None:
    assert [name for name in SECTIONS if name.startswith("G")] == [f"G{number}" for number in range(1, 23)]
    assert len([name for name in SECTIONS if name.startswith("S")]) == 12
    assert len(SECTIONS) == len(re.findall("^### ", read(FILE), re.MULTILINE))


@pytest.mark.parametrize("name", SECTIONS)
def test_every_section_names_tests_that_exist(name: str) -> None:
    lists = [line for line in SECTIONS[name].splitlines() if line.startswith("- ")]
    assert lists
    assert [line for line in lists if not TEST.fullmatch(line.removeprefix("- "))] == []
    assert missing(SECTIONS[name]) == []


def test_every_command_that_is_named_exists() -> None:
    commands = COMMAND.findall(read(FILE))
    targets = set(re.findall(r"^([\w-]+):", read("Makefile"), re.MULTILINE))
    known = {"make": targets, "python -m bench": set(BENCHMARKS)}
    assert commands
    assert [(tool, name) for tool, name in commands if name not in known[tool]] == []


def test_a_missing_test_is_found() -> None:
    assert "test_every_guarantee_has_a_section" in defined("tests/docs/test_guarantees.py")
    assert "test_that_is_gone" not in defined("tests/docs/test_guarantees.py")
    assert "TestObservations" in defined("tests/generations/test_state.py")
