"""Each invariant of the checker on handwritten histories: correct ones, and some that break it."""

import json
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from chaos.__main__ import main
from harness.checker import INVARIANTS, check
from harness.history import HistoryError, parse, read
from harness.watch_checker import WATCH_INVARIANTS

Event = dict[str, Any]


def shown(what: str, revision: int, state: str, **more: Any) -> Event:
    """Return a line that shows generation g of key k."""
    accepted = state not in ("PENDING", "UNCERTAIN")
    usual = {
        "id": "g",
        "key": "k",
        "revision": revision,
        "state": state,
        "done": state not in ("PENDING", "UNCERTAIN", "QUEUED", "IN_PROGRESS"),
        "accepted": accepted,
        "request": "r" if accepted else "",
        "outputs": ["url"] if state == "COMPLETED" else [],
    }
    return {"what": what, **usual, **more}


def saw(revision: int, state: str, **more: Any) -> Event:
    return shown("saw", revision, state, **({"watch": 1} | more))


def news(revision: int, state: str, **more: Any) -> Event:
    return shown("news", revision, state, **({"watch": 9} | more))


def refused(what: str, revision: int, **more: Any) -> Event:
    return shown(what, revision, "FAILED", **({"accepted": False, "request": ""} | more))


SUBMIT = {"what": "submit", "call": 1, "key": "k", "prompt": "p"}
AGAIN = {"what": "submit", "call": 2, "key": "k", "prompt": "p"}
SUBMITTED = shown("submitted", 1, "PENDING", call=1)
WATCH = {"what": "watch", "watch": 1, "way": "bare", "id": "g", "after": 0}
WATCHED = [saw(1, "PENDING"), saw(2, "QUEUED"), saw(3, "IN_PROGRESS"), saw(4, "COMPLETED")]
ENDED = {"what": "watch ended", "watch": 1}
FAILED = {"what": "watch failed", "watch": 1, "code": "UNAVAILABLE", "reason": "GATEWAY_UNAVAILABLE"}
OVERVIEW = {"what": "overview", "watch": 9}
NAMED = {**OVERVIEW, "ids": ["g"]}
CAUGHT_UP = {"what": "caught up", "watch": 9}
NEWS = [news(1, "PENDING"), news(2, "QUEUED"), news(3, "IN_PROGRESS"), news(4, "COMPLETED")]
OVERVIEW_ENDED = {"what": "overview ended", "watch": 9}
LEFT = {"what": "overview left", "watch": 9, "complete": False}
COMPLETE = {**LEFT, "complete": True}
FINAL = shown("final", 4, "COMPLETED")
CHARGE = {"what": "charge", "request": "r", "prompt": "p", "credits": "1"}
REFUND = {"what": "refund", "request": "r", "reason": "failed"}
REQUEST = {"what": "request", "request": "r", "prompt": "p", "status": "completed"}
LEDGER = [CHARGE, REQUEST]
DELIVERY = {"what": "delivery", "request": "r", "outcome": "200"}
ASTRAY = {"what": "fault", "on": "webhook", "kind": "foreign_id", "processed": True, "prompt": "p"}
OVER = {"what": "over"}

GOOD: dict[str, list[Event]] = {
    "nothing at all": [],
    "a usual generation": [SUBMIT, SUBMITTED, WATCH, *WATCHED, ENDED, FINAL, *LEDGER],
    "a refund": [
        SUBMIT, SUBMITTED, shown("final", 4, "FAILED"), CHARGE, REFUND, {**REQUEST, "status": "failed"},
    ],
    "left in doubt, and charged": [SUBMIT, SUBMITTED, shown("final", 2, "UNCERTAIN"), *LEDGER],
    "in doubt, with a refused delivery": [
        SUBMIT, SUBMITTED, shown("final", 2, "UNCERTAIN"), *LEDGER, {**DELIVERY, "outcome": "503"},
    ],
    "in doubt, with a delivery about another request": [
        ASTRAY, SUBMIT, SUBMITTED, shown("final", 2, "UNCERTAIN"), *LEDGER, DELIVERY,
    ],
    "lost, and charged": [SUBMIT, SUBMITTED, shown("final", 3, "LOST", request=""), *LEDGER],
    "never stored": [SUBMIT, {"what": "submit failed", "call": 1, "key": "k", "reason": "GATEWAY_UNAVAILABLE"}],
    "refused, and accepted under the same key": [
        SUBMIT, refused("submitted", 2, call=1, id="first"), AGAIN, SUBMITTED,
        refused("final", 2, id="first"), FINAL, *LEDGER,
    ],
    "refused, and in doubt under the same key": [
        SUBMIT, refused("submitted", 2, call=1, id="first"), AGAIN, SUBMITTED,
        refused("final", 2, id="first"), shown("final", 2, "UNCERTAIN"), *LEDGER,
    ],
    "resumed after a revision": [SUBMIT, SUBMITTED, {**WATCH, "after": 2}, *WATCHED[2:], ENDED, FINAL, *LEDGER],
    "started after the end": [SUBMIT, SUBMITTED, {**WATCH, "after": 4}, ENDED, FINAL, *LEDGER],
    "an overview to the end": [
        OVERVIEW, CAUGHT_UP, SUBMIT, SUBMITTED, *NEWS, COMPLETE, FINAL, *LEDGER,
    ],
    "an overview that was left early": [
        OVERVIEW, CAUGHT_UP, SUBMIT, SUBMITTED, *NEWS[:2], LEFT, FINAL, *LEDGER,
    ],
    "an overview of named generations": [
        SUBMIT, SUBMITTED, NAMED, news(2, "QUEUED"), CAUGHT_UP, *NEWS[2:], OVERVIEW_ENDED, FINAL, *LEDGER,
    ],
    "an overview of a known and an unknown generation": [
        SUBMIT, SUBMITTED, {**NAMED, "ids": ["g", "unknown"]}, {"what": "missing", "watch": 9, "ids": ["unknown"]},
        news(4, "COMPLETED"), CAUGHT_UP, OVERVIEW_ENDED, FINAL, *LEDGER,
    ],
    "an overview that was reset after an end": [
        OVERVIEW, CAUGHT_UP, SUBMIT, SUBMITTED, news(1, "PENDING"), {"what": "reset", "watch": 9}, CAUGHT_UP, COMPLETE,
        FINAL, *LEDGER,
    ],
    "a gateway that stays down": [SUBMIT, SUBMITTED, WATCH, *WATCHED[:2], FAILED, FINAL, *LEDGER],
    "killed, and stopped": [
        {"what": "start", "failpoint": ""}, {"what": "kill", "pid": 1}, {"what": "ended", "exit": -9},
        {"what": "start", "failpoint": ""}, {"what": "stop", "pid": 2}, {"what": "ended", "exit": 0},
    ],
    "an overview that began late, and was reset": [
        SUBMIT, SUBMITTED, OVERVIEW, news(2, "QUEUED"), CAUGHT_UP, {"what": "reset", "watch": 9}, news(4, "COMPLETED"),
        COMPLETE, FINAL, *LEDGER,
    ],
}  # fmt: skip

BAD: dict[str, list[tuple[str, list[Event]]]] = {
    "charged_once": [
        ("charged twice", [SUBMIT, SUBMITTED, FINAL, CHARGE, {**CHARGE, "request": "r2"}, REQUEST]),
        ("charged twice, and one given back", [SUBMIT, FINAL, CHARGE, {**CHARGE, "request": "r2"}, REFUND, REQUEST]),
    ],
    "every_charge_is_known": [
        ("no generation has it", [SUBMIT, *LEDGER]),
        ("its generation has another request", [SUBMIT, FINAL, *LEDGER, {**CHARGE, "request": "r2"}]),
    ],
    "every_key_ends": [
        ("gone", [SUBMIT, SUBMITTED]),
        ("still waiting", [SUBMIT, SUBMITTED, shown("final", 1, "PENDING")]),
        ("still running", [SUBMIT, SUBMITTED, shown("final", 2, "QUEUED"), *LEDGER]),
    ],
    "free_means_free": [
        ("refused, and charged", [SUBMIT, refused("final", 2), *LEDGER]),
        ("canceled, and charged", [SUBMIT, shown("final", 2, "CANCELED"), *LEDGER]),
        ("moderated in one response only", [SUBMIT, shown("submitted", 4, "NSFW", call=1), FINAL, *LEDGER]),
    ],
    "ends_are_true": [
        ("completed, but failed", [SUBMIT, FINAL, CHARGE, REFUND, {**REQUEST, "status": "failed"}]),
        ("failed, but moderated", [SUBMIT, shown("final", 2, "FAILED"), CHARGE, REFUND, {**REQUEST, "status": "nsfw"}]),
        ("completed, but unknown", [SUBMIT, FINAL]),
        ("completed without a request", [SUBMIT, shown("final", 4, "COMPLETED", request="")]),
        ("the request of another", [SUBMIT, FINAL, {**REQUEST, "prompt": "other"}]),
    ],
    "watches_have_no_gap": [
        ("a gap", [WATCH, WATCHED[0], *WATCHED[2:], ENDED]),
        ("a repeat", [WATCH, WATCHED[0], *WATCHED, ENDED]),
        ("out of order", [WATCH, WATCHED[0], WATCHED[2], WATCHED[1], WATCHED[3], ENDED]),
        ("not from its beginning", [WATCH, *WATCHED[1:], ENDED]),
        ("a revision that was seen before", [{**WATCH, "after": 2}, *WATCHED[1:], ENDED]),
    ],
    "overviews_have_no_gap": [
        ("a gap", [OVERVIEW, CAUGHT_UP, news(1, "PENDING"), news(3, "IN_PROGRESS")]),
        ("not from its first", [OVERVIEW, CAUGHT_UP, news(2, "QUEUED")]),
        ("a repeat", [OVERVIEW, CAUGHT_UP, *NEWS[:2], *NEWS[1:]]),
        ("a step back", [OVERVIEW, CAUGHT_UP, *NEWS[:3], *NEWS[1:]]),
        ("out of order", [OVERVIEW, CAUGHT_UP, NEWS[0], NEWS[2], NEWS[1], NEWS[3]]),
        ("a gap after a reset", [OVERVIEW, {"what": "reset", "watch": 9}, NEWS[1], CAUGHT_UP, NEWS[3]]),
    ],
    "watches_end_once": [
        ("two ends", [WATCH, *WATCHED, saw(5, "COMPLETED"), ENDED]),
        ("news after the end", [WATCH, *WATCHED, saw(5, "IN_PROGRESS"), ENDED]),
        ("no end", [WATCH, *WATCHED[:2], ENDED]),
        ("ended twice", [WATCH, *WATCHED, ENDED, ENDED]),
        ("ended, and continued", [WATCH, *WATCHED[:3], ENDED, WATCHED[3]]),
        ("nothing at all", [WATCH, ENDED, FINAL]),
    ],
    "overviews_end_once": [
        ("before the end", [NAMED, *NEWS[:3], OVERVIEW_ENDED, FINAL]),
        ("without the end of the generation", [NAMED, CAUGHT_UP, OVERVIEW_ENDED, FINAL]),
        ("ended twice", [NAMED, *NEWS, OVERVIEW_ENDED, OVERVIEW_ENDED]),
        ("ended, and continued", [NAMED, *NEWS[:3], OVERVIEW_ENDED, NEWS[3]]),
        ("of all", [OVERVIEW, CAUGHT_UP, *NEWS, OVERVIEW_ENDED]),
        ("not repeated after a reset", [NAMED, *NEWS, {"what": "reset", "watch": 9}, CAUGHT_UP, OVERVIEW_ENDED]),
    ],
    "watches_outlast_their_streams": [
        ("canceled by the gateway", [WATCH, {**FAILED, "code": "CANCELLED", "reason": ""}]),
        ("a defect", [NAMED, {**FAILED, "what": "overview failed", "watch": 9, "code": "UNKNOWN", "reason": ""}]),
    ],
    "watchers_hold_what_is_stored": [
        ("another end", [WATCH, *WATCHED, ENDED, shown("final", 4, "FAILED")]),
        ("an end too early", [WATCH, *WATCHED, ENDED, shown("final", 5, "COMPLETED")]),
        ("an overview of another end", [NAMED, *NEWS, OVERVIEW_ENDED, shown("final", 4, "FAILED")]),
        ("an overview that missed the end", [OVERVIEW, CAUGHT_UP, SUBMIT, *NEWS[:3], COMPLETE, FINAL]),
        ("an overview that missed a generation", [OVERVIEW, CAUGHT_UP, SUBMIT, COMPLETE, FINAL]),
    ],
    "all_agree": [
        ("two watchers", [WATCH, *WATCHED, {**WATCH, "watch": 2}, saw(1, "UNCERTAIN", watch=2)]),
        ("other outputs", [WATCH, *WATCHED, shown("final", 4, "COMPLETED", outputs=["other"])]),
        ("another request", [saw(2, "QUEUED"), shown("canceled", 2, "QUEUED", call=3, request="r2")]),
    ],
    "states_go_forward": [
        ("back to PENDING", [WATCH, saw(1, "PENDING"), saw(2, "UNCERTAIN"), saw(3, "PENDING")]),
        ("back into the queue", [saw(3, "IN_PROGRESS"), news(4, "QUEUED")]),
        ("by two watchers", [saw(2, "QUEUED"), news(1, "IN_PROGRESS")]),
    ],
    "ended_is_final": [
        ("another end", [WATCH, *WATCHED, shown("final", 5, "FAILED")]),
        ("a change of the end", [WATCH, *WATCHED, shown("final", 5, "COMPLETED")]),
        ("alive again", [saw(4, "CANCELED"), news(5, "IN_PROGRESS")]),
    ],
    "nothing_seen_is_forgotten": [
        ("a later revision was seen", [WATCH, *WATCHED[:3], shown("final", 2, "QUEUED")]),
    ],
    "one_generation_for_a_key": [
        ("two responses", [SUBMIT, AGAIN, SUBMITTED, shown("submitted", 1, "PENDING", call=2, id="g2")]),
        ("two at the end", [SUBMIT, SUBMITTED, FINAL, shown("final", 1, "PENDING", id="g2")]),
        ("one that failed, but was accepted", [SUBMIT, shown("final", 4, "FAILED", id="g2"), FINAL]),
        ("the response of another", [SUBMIT, FINAL, AGAIN, shown("submitted", 1, "PENDING", call=2, id="g2", key="x")]),
    ],
    "deliveries_clear_doubts": [
        ("a doubt despite a delivery", [SUBMIT, SUBMITTED, shown("final", 2, "UNCERTAIN"), *LEDGER, DELIVERY]),
    ],
    "no_call_finds_a_defect": [
        ("a defect", [SUBMIT, {"what": "submit failed", "call": 1, "key": "k", "reason": "INTERNAL"}]),
        ("a known generation is not found", [WATCH, {**FAILED, "code": "NOT_FOUND", "reason": "NOT_FOUND"}]),
        ("a revision back", [WATCH, {**FAILED, "code": "INVALID_ARGUMENT", "reason": "INVALID_INPUT"}]),
    ],
    "no_gateway_ends_by_itself": [
        ("a crash", [{"what": "started", "pid": 1}, {"what": "ended", "exit": -11}]),
        ("it exited with an error", [{"what": "started", "pid": 1}, {"what": "ended", "exit": 74}]),
        ("not asked to stop", [{"what": "start", "failpoint": ""}, {"what": "ended", "exit": 0}]),
        ("an unclean stop", [{"what": "stop", "pid": 1}, {"what": "ended", "exit": -9}]),
    ],
}  # fmt: skip


def text(*events: Event) -> str:
    numbers = count(1)
    return "\n".join(json.dumps({"at": next(numbers) / 10, **event}) for event in events)


@pytest.mark.parametrize("name", GOOD)
def test_correct_histories_have_no_violations(name: str) -> None:
    assert [str(violation) for violation in check(parse(text(*GOOD[name], OVER)))] == []


@pytest.mark.parametrize(
    ("invariant", "events"),
    [
        pytest.param(invariant, events, id=f"{invariant}: {name}")
        for invariant in BAD
        for name, events in BAD[invariant]
    ],
)
def test_every_broken_promise_is_found(invariant: str, events: list[Event]) -> None:
    found = {violation.invariant: violation for violation in check(parse(text(*events, OVER)))}
    assert invariant in found
    assert found[invariant].lines


def test_every_invariant_is_tested() -> None:
    assert {invariant.__name__ for invariant in INVARIANTS} == set(BAD)


def dropped(lines: list[Event], at: int) -> list[Event]:
    return lines[:at] + lines[at + 1 :]


def doubled(lines: list[Event], at: int) -> list[Event]:
    return lines[: at + 1] + lines[at:]


def swapped(lines: list[Event], at: int) -> list[Event]:
    return [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]


def repeated_from_the_start(lines: list[Event], at: int) -> list[Event]:
    return lines[: at + 1] + lines


def of_another_state(lines: list[Event], at: int) -> list[Event]:
    changed = {**lines[at], "state": "CANCELED", "done": True}
    return [*lines[:at], changed, *lines[at + 1 :]]


def no_end(lines: list[Event], at: int) -> list[Event]:
    return [*lines[: at + 1]]


MISTAKES = (dropped, doubled, swapped, repeated_from_the_start, of_another_state, no_end)


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("at", range(3))
def test_every_mistake_in_a_watch_is_found(mistake: Callable[..., list[Event]], at: int) -> None:
    usual = [OVERVIEW, CAUGHT_UP, SUBMIT, SUBMITTED, WATCH, *WATCHED, ENDED, *NEWS, COMPLETE, FINAL, *LEDGER, OVER]
    assert check(parse(text(*usual))) == []
    for lines in (WATCHED, NEWS):
        begin = usual.index(lines[0])
        mistaken = [*usual[:begin], *mistake(lines, at), *usual[begin + len(lines) :]]
        assert {one.invariant for one in check(parse(text(*mistaken)))} & {one.__name__ for one in WATCH_INVARIANTS}


def test_a_violation_names_its_lines() -> None:
    (violation,) = check(parse(text(WATCH, WATCHED[0], WATCHED[2], OVER)))[:1]
    assert str(violation).splitlines()[0].startswith("every_key_ends: ")
    (gap,) = [one for one in check(parse(text(WATCH, WATCHED[0], WATCHED[2], OVER))) if "gap" in one.invariant]
    assert [line.number for line in gap.lines] == [1, 3]
    assert "3: 0.300 saw" in str(gap)


def test_an_incomplete_history_is_a_violation() -> None:
    (violation,) = check(parse(text(*GOOD["a usual generation"])))
    assert violation.invariant == "history"


@pytest.mark.parametrize("content", ["no JSON", "[]", '{"at": 1}'])
def test_an_invalid_history_file_is_refused(content: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text(content)
    with pytest.raises(HistoryError):
        read(file)


@pytest.fixture
def judged(tmp_path: Path) -> Callable[..., int]:
    def judge(*events: Event) -> int:
        file = tmp_path / "history.jsonl"
        file.write_text(text(*events))
        return main(["check", str(file)])

    return judge


def test_check_judges_a_saved_history(judged: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert judged(*GOOD["a usual generation"], OVER) == 0
    assert "no violation" in capsys.readouterr().out
    assert judged(*BAD["charged_once"][0][1], OVER) == 1
    assert "charged_once: k was charged 2 times" in capsys.readouterr().out


def test_check_reports_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "none")]) == 2
    assert "No such file" in capsys.readouterr().err
