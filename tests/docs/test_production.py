"""The figures of docs/production.md are those that the linked pages measured."""

from __future__ import annotations

import re

from tests.docs.markdown import read

ROW = re.compile(r"^\| .+ \| ([\d,.]+)(?: [A-Za-z]+)? \| \[.+\]\(([\w-]+\.md)#[\w-]+\) \|$", re.MULTILINE)


def test_every_figure_is_on_the_page_that_measured_it() -> None:
    section = read("docs/production.md").partition("## Size it")[2].partition("\n## ")[0]
    figures = ROW.findall(section)
    assert len(figures) == section.count("\n| ") - 1
    for figure, page in figures:
        assert re.search(rf"(?<![\d,.]){re.escape(figure)}(?![\d,]|\.\d)", read(f"docs/{page}")), figure
