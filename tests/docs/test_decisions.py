"""Every decision has a unique number, a row in the list, and the same sections."""

from __future__ import annotations

import re

import pytest

from tests.docs.markdown import ROOT, read

FILES = sorted(path.name for path in (ROOT / "docs/decisions").glob("*.md") if path.name != "README.md")
ROWS = re.findall(r"^\| (\d{4}) \| \[(.+)\]\((.+)\) \| .+ \|$", read("docs/decisions/README.md"), re.MULTILINE)


def test_every_decision_has_a_unique_number() -> None:
    assert [name for name in FILES if not re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", name)] == []
    assert len({name[:4] for name in FILES}) == len(FILES) > 0


def test_the_list_has_every_decision_by_its_title() -> None:
    titled = [(name[:4], read(f"docs/decisions/{name}").splitlines()[0].removeprefix("# "), name) for name in FILES]
    assert titled == ROWS


@pytest.mark.parametrize("name", FILES)
def test_every_decision_has_the_same_sections(name: str) -> None:
    headings = re.findall(r"^## (.+)$", read(f"docs/decisions/{name}"), re.MULTILINE)
    assert [heading for heading in headings if heading != "Why not otherwise"] == [
        "Context",
        "Choice",
        "What would change it",
    ]
