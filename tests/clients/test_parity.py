"""docs/parity.md has a cell for every behaviour in every language, and no program tells its way around one."""

from __future__ import annotations

import json

import pytest

from tests.clients.languages import BEHAVIOURS, LANGUAGES, ROOT, Results, judged
from tests.clients.parity import NO, NOT_TRIED, PAGE, YES, column, read, table, written

HELD = list(BEHAVIOURS)


def lines(**changed: object) -> str:
    """What a program prints that has everything, but for what is changed."""
    told: dict[str, object] = dict.fromkeys(BEHAVIOURS, True) | changed
    return "".join(json.dumps({"behaviour": name, "ok": ok}) + "\n" for name, ok in told.items())


def test_the_table_has_a_cell_for_every_behaviour_in_every_language() -> None:
    columns = read(PAGE.read_text())
    assert list(columns) == [language.title for language in LANGUAGES]
    for language in LANGUAGES:
        cells = columns[language.title]
        assert set(cells) == set(BEHAVIOURS)
        allowed = {YES, NOT_TRIED} if language.partial else {YES}
        wrong = {name: cell for name, cell in cells.items() if cell not in allowed}
        assert wrong == {}, language.title


def test_the_page_is_laid_out_as_it_is_written() -> None:
    page = PAGE.read_text()
    assert page == written(page, read(page)), "run: python -m tests.clients.parity"


def test_every_client_of_the_repository_is_tried() -> None:
    folders = {path.name for path in (ROOT / "clients").iterdir() if (path / "behaviours").exists()}
    assert folders == {language.folder for language in LANGUAGES if not language.partial}


def test_a_cell_is_what_the_program_told() -> None:
    first, second, third = HELD[:3]
    results = Results(held={first: True, second: False})
    cells = column(results)
    assert (cells[first], cells[second], cells[third]) == (YES, NO, NOT_TRIED)
    title = LANGUAGES[0].title
    assert read(f"<!-- generated: parity -->\n{table({title: cells})}<!-- end -->\n")[title] == cells


def test_a_program_that_has_everything_has_no_faults() -> None:
    assert judged(lines(), 0, "", partial=False).faults == []


@pytest.mark.parametrize(
    ("stdout", "exit_code", "fault"),
    [
        (lines(**{HELD[0]: False}), 1, f"{HELD[0]}: no error was told"),
        (lines(surprise=True), 1, "surprise: is no behaviour of behaviours.json"),
        ("\n".join(lines().splitlines()[1:]), 1, f"{next(iter(BEHAVIOURS))}: not told"),
        (lines() + json.dumps({"behaviour": HELD[0], "ok": True}), 1, f"{HELD[0]}: told twice"),
        (lines(**{HELD[0]: "yes"}), 1, f"{HELD[0]}: ok is 'yes'"),
        (lines() + "hello", 1, "no line of a behaviour: hello"),
        (lines() + "[1]", 1, "no line of a behaviour: [1]"),
        (lines(), -9, "the program ended with exit code -9"),
        (lines(), 1, "the program ended with exit code 1"),
    ],
)
def test_a_program_that_has_not_is_told_so(stdout: str, exit_code: int, fault: str) -> None:
    assert fault in judged(stdout, exit_code, "", partial=False).faults


def test_a_program_of_a_part_may_leave_out_but_not_fail() -> None:
    one = json.dumps({"behaviour": HELD[0], "ok": True})
    assert judged(one, 0, "", partial=True).faults == []
    assert judged(one.replace("true", "false"), 1, "", partial=True).faults == [f"{HELD[0]}: no error was told"]
