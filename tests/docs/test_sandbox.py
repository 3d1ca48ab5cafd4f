"""Every conformance case of the sandbox has a row, and every row names tests that exist."""

from __future__ import annotations

import re

import pytest

from tests.docs.markdown import read
from tests.docs.named import TEST, missing

ROWS = dict(re.findall(r"^\| (\d+) \| .+ \| (.+) \|$", read("docs/sandbox.md"), re.MULTILINE))


def test_every_case_has_a_row() -> None:
    assert list(ROWS) == [str(number) for number in range(1, 41)]


@pytest.mark.parametrize("case", ROWS)
def test_every_row_names_tests_that_exist(case: str) -> None:
    assert TEST.search(ROWS[case])
    assert missing(ROWS[case]) == []


def test_a_missing_test_is_found() -> None:
    assert missing("`tests/docs/test_sandbox.py::test_every_case_has_a_row`") == []
    assert missing("`tests/docs/test_sandbox.py::test_that_is_gone`") == ["test_that_is_gone"]
    assert missing("`tests/docs/test_that_is_gone.py::test_one`") == ["test_one"]
