"""Every decision has a unique number, a row in the list, and the same sections."""

from __future__ import annotations

import re

import pytest

from tests.docs.markdown import ROOT, read

FILES = sorted(path.name for path in (ROOT / "docs/decisions").glob("*.md") if path.name != "README.md")
ROWS = re.findall(r"^\| (\d{4}) \| \[(.+)\]\((.+)\) \| .+ \|$", read("docs/decisions/README.md"), re.MULTILINE)


def test_each_has_a_number_of_its_own() -> None:
    assert [name for name in FILES if not re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", name)] == []
    assert len({name[:4] for name in FILES}) == len(FILES) > 0


def test_the_list_has_them_all_by_their_titles() -> None:
    titled = [(name[:4], read(f"docs/decisions/{name}").splitlines()[0].removeprefix("# "), name) for name in FILES]
    assert titled == ROWS


@pytest.mark.parametrize("name", FILES)
def test_each_says_the_context_the_choice_and_what_would_change_it(name: str) -> None:
    headings = re.findall(r"^## (.+)$", read(f"docs/decisions/{name}"), re.MULTILINE)
    assert [heading for heading in headings if heading != "Why not otherwise"] == [
        "Context",
        "Choice",
        "What would change it",
    ]
