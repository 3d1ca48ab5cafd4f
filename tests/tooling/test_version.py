"""VERSION has the version number, and every manifest has the same."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tools.generate import ROOT
from tools.version import VERSION_PATTERNS, with_version

VERSION = (ROOT / "VERSION").read_text()
HERE = [(name, pattern) for name, pattern in VERSION_PATTERNS if (ROOT / name).exists()]


def test_version_is_a_semantic_version() -> None:
    assert re.fullmatch(r"(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){2}(?:-[0-9A-Za-z.-]+)?\n", VERSION)


def test_every_manifest_has_the_version() -> None:
    command = [sys.executable, str(ROOT / "tools" / "version.py"), "--check"]
    assert subprocess.run(command, capture_output=True, text=True, check=False).stderr == ""


def test_every_client_has_a_manifest_that_is_checked() -> None:
    checked = {name.split("/")[1] for name, _ in HERE if name.startswith("clients/")}
    assert checked == {path.name for path in (ROOT / "clients").iterdir() if path.is_dir()}


@pytest.mark.parametrize(("name", "pattern"), HERE, ids=[name for name, _ in HERE])
def test_another_version_can_be_written_and_is_noticed(name: str, pattern: str) -> None:
    text = (ROOT / name).read_text()
    changed = with_version(text, pattern, "9.8.7")
    assert changed != text
    assert with_version(changed, pattern, VERSION.strip()) == text
    with pytest.raises(ValueError, match="nothing matches"):
        with_version("", pattern, "9.8.7")
