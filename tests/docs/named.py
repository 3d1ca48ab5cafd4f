"""Find tests that documents name as `file.py::test_name`."""

from __future__ import annotations

import ast
import re
from functools import cache

from tests.docs.markdown import ROOT

TEST = re.compile(r"`((?:tests|clients/python/tests)/[\w/.]+\.py)::(\w+)`")


@cache
def defined(file: str) -> frozenset[str]:
    """Return the tests in a file: functions, classes, and classes that are assigned to a name."""
    found = set()
    for node in ast.parse((ROOT / file).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return frozenset(name for name in found if name.lower().startswith("test"))


def missing(text: str) -> list[str]:
    """Return the tests that a text names and that do not exist."""
    named = TEST.findall(text)
    assert len(named) == text.count("::"), "a test is named as `file.py::test_name`"
    return [test for file, test in named if not (ROOT / file).is_file() or test not in defined(file)]
