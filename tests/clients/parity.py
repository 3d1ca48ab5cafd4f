"""The table of docs/parity.md, generated from the results of the programs: `python -m tests.clients.parity`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from tests.clients.languages import BEHAVIOURS, LANGUAGES, ROOT, Language, Results, perform, run_all

PAGE = ROOT / "docs" / "parity.md"
BEGIN, END = "<!-- generated: parity -->\n", "<!-- end -->\n"
YES, NO, NOT_TRIED = "yes", "**no**", "–"
LEAD = ("RPC", "behaviour", "promise")

Column = Mapping[str, str]
"""Cells by behaviour."""


def column(results: Results) -> Column:
    """Return the cells for the results of one run."""
    return {name: _cell(name, results.held) for name in BEHAVIOURS}


def _cell(name: str, held: Mapping[str, bool]) -> str:
    if name not in held:
        return NOT_TRIED
    return YES if held[name] else NO


def table(columns: Mapping[str, Column]) -> str:
    """Return the table of all languages; `columns` are keyed by title."""
    titles = [language.title for language in LANGUAGES]
    order = list(dict.fromkeys(behaviour["rpc"] for behaviour in BEHAVIOURS.values()))
    lines = [[*LEAD, *titles], ["---"] * (len(LEAD) + len(titles))]
    for behaviour in sorted(BEHAVIOURS.values(), key=lambda behaviour: order.index(behaviour["rpc"])):
        cells = [columns.get(title, {}).get(behaviour["name"], NOT_TRIED) for title in titles]
        lines.append([behaviour["rpc"], f"`{behaviour['name']}`", behaviour["promise"].replace("|", "\\|"), *cells])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def read(page: str) -> dict[str, Column]:
    """Return the columns of a page by title."""
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in _part(page).splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in row] for row in rows]
    if not cells:
        return {}
    titles = cells[0][len(LEAD) :]
    return {
        title: {row[1].strip("`"): row[place] for row in cells[2:]} for place, title in enumerate(titles, len(LEAD))
    }


def written(page: str, columns: Mapping[str, Column]) -> str:
    """Return the page with a new table."""
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + table(columns) + END + rest.partition(END)[2]


def _part(page: str) -> str:
    return page.partition(BEGIN)[2].partition(END)[0]


def main(languages: Iterable[Language] = LANGUAGES) -> None:
    """Run every client with an installed toolchain, and write the results; other columns stay."""
    columns = read(PAGE.read_text())
    here = [language for language in languages if language.here]
    for name, results in run_all(here, perform).items():
        language = next(one for one in here if one.name == name)
        columns[language.title] = column(results)
        for fault in results.faults:
            print(f"{language.title}: {fault}")
    PAGE.write_text(written(PAGE.read_text(), columns))


if __name__ == "__main__":
    main()
