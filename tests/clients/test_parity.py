"""docs/parity.md has a cell for every behaviour in every language, and incomplete reports of programs are faults."""

from __future__ import annotations

import json

import pytest

from tests.clients.languages import BEHAVIOURS, LANGUAGES, ROOT, Language, Results, judged, run_all
from tests.clients.parity import NO, NOT_TRIED, PAGE, YES, column, read, table, written

HELD = list(BEHAVIOURS)


def lines(**changed: object) -> str:
    """Return the output of a program that has every behaviour, with changes."""
    reported: dict[str, object] = dict.fromkeys(BEHAVIOURS, True) | changed
    return "".join(json.dumps({"behaviour": name, "ok": ok}) + "\n" for name, ok in reported.items())


def test_the_table_has_a_cell_for_every_behaviour_in_every_language() -> None:
    columns = read(PAGE.read_text())
    assert list(columns) == [language.title for language in LANGUAGES]
    for language in LANGUAGES:
        cells = columns[language.title]
        assert set(cells) == set(BEHAVIOURS)
        allowed = {YES, NOT_TRIED} if language.partial else {YES}
        wrong = {name: cell for name, cell in cells.items() if cell not in allowed}
        assert wrong == {}, language.title


def test_the_parity_page_is_formatted_as_generated() -> None:
    page = PAGE.read_text()
    assert page == written(page, read(page)), "run: python -m tests.clients.parity"


def test_every_client_has_a_column() -> None:
    folders = {path.name for path in (ROOT / "clients").iterdir() if (path / "behaviours").exists()}
    assert folders == {language.folder for language in LANGUAGES if not language.partial}


def test_a_cell_shows_the_result_of_the_program() -> None:
    first, second, third = HELD[:3]
    results = Results(held={first: True, second: False})
    cells = column(results)
    assert (cells[first], cells[second], cells[third]) == (YES, NO, NOT_TRIED)
    title = LANGUAGES[0].title
    assert read(f"<!-- generated: parity -->\n{table({title: cells})}<!-- end -->\n")[title] == cells


def test_a_run_that_fails_is_a_fault_of_its_language_only() -> None:
    first, second = LANGUAGES[:2]

    async def run(language: Language) -> Results:
        if language is first:
            raise TimeoutError("the program does not end")
        return Results(held={HELD[0]: True})

    results = run_all((first, second), run)
    assert results[first.name].faults[0].endswith("TimeoutError: the program does not end\n")
    assert results[second.name] == Results(held={HELD[0]: True})


def test_a_complete_report_has_no_faults() -> None:
    assert judged(lines(), 0, "", partial=False).faults == []


@pytest.mark.parametrize(
    ("stdout", "exit_code", "fault"),
    [
        (lines(**{HELD[0]: False}), 1, f"{HELD[0]}: no error text"),
        (lines(surprise=True), 1, "surprise: is not in behaviours.json"),
        ("\n".join(lines().splitlines()[1:]), 1, f"{next(iter(BEHAVIOURS))}: not reported"),
        (lines() + json.dumps({"behaviour": HELD[0], "ok": True}), 1, f"{HELD[0]}: reported twice"),
        (lines(**{HELD[0]: "yes"}), 1, f"{HELD[0]}: ok is 'yes'"),
        (lines() + "hello", 1, "not a result line: hello"),
        (lines() + "[1]", 1, "not a result line: [1]"),
        (lines(), -9, "the program ended with exit code -9"),
        (lines(), 1, "the program ended with exit code 1"),
    ],
)
def test_an_incomplete_report_has_a_fault(stdout: str, exit_code: int, fault: str) -> None:
    assert fault in judged(stdout, exit_code, "", partial=False).faults


def test_a_warning_on_stderr_is_a_fault() -> None:
    warning = "(node:7) MaxListenersExceededWarning: Possible EventTarget memory leak detected"
    assert judged(lines(), 0, f"started\n{warning}\n", partial=False).faults == [f"a warning on stderr: {warning}"]


def test_a_partial_program_may_omit_behaviours_but_not_fail() -> None:
    one = json.dumps({"behaviour": HELD[0], "ok": True})
    assert judged(one, 0, "", partial=True).faults == []
    assert judged(one.replace("true", "false"), 1, "", partial=True).faults == [f"{HELD[0]}: no error text"]
