"""The invariants of watches: no gap, no repetition, no step back, one end, and the stored state at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from harness.history import Line
from harness.violations import IndexedHistory, Invariant, Violation, grouped, violation

STATE_RANKS = {"PENDING": 0, "UNCERTAIN": 1, "QUEUED": 2, "IN_PROGRESS": 3}
"""The order of the states of a generation. All other states are final."""
FINAL_RANK = 4


def watches_have_no_gap(history: IndexedHistory) -> Iterator[Violation]:
    """A watch sends every revision after the one it started at, exactly once and in order."""
    for watch, lines in history.watches.items():
        opened = [line for line in lines if line.what == "watch"][:1]
        expected = opened[0]["after"] + 1 if opened else None
        for line in (line for line in lines if line.what == "saw"):
            if expected is not None and line["revision"] != expected:
                message = f"watch {watch} sent revision {line['revision']}, expected {expected}"
                yield violation(watches_have_no_gap, message, [*opened, line])
            expected = line["revision"] + 1


def overviews_have_no_gap(history: IndexedHistory) -> Iterator[Violation]:
    """A watch of many sends the revisions of each generation exactly once and in order; a reset starts again.

    Generations that exist when it starts are sent from their current revision, later ones from their first.
    """
    for watch, lines in history.overviews.items():
        caught_up = False
        last: dict[str, Line] = {}
        for line in lines:
            if line.what == "reset":
                caught_up = False
                last.clear()
            elif line.what == "caught up":
                caught_up = True
            elif line.what == "news":
                before = last.get(line["id"])
                sent = before["revision"] if before else 0
                if line["revision"] != sent + 1 and (before or caught_up):
                    message = f"overview {watch} sent revision {line['revision']} of {line['id']} after {sent}"
                    yield violation(overviews_have_no_gap, message, [before, line] if before else [line])
                last[line["id"]] = line


def watches_end_once(history: IndexedHistory) -> Iterator[Violation]:
    """A completed watch has sent one final state, as its last message. Nothing follows a final state."""
    for watch, lines in history.watches.items():
        saw = [line for line in lines if line.what == "saw"]
        ends = [index for index, line in enumerate(saw) if line["done"]]
        if ends and ends[0] != len(saw) - 1:
            yield violation(watches_end_once, f"watch {watch} continued after a final state", saw[ends[0] :])
        ended = [index for index, line in enumerate(lines) if line.what == "watch ended"]
        if ended and not ends and not _began_at_the_end(history, lines):
            yield violation(
                watches_end_once, f"watch {watch} ended without a final state", [*saw[-1:], lines[ended[0]]]
            )
        if ended and ended[0] != len(lines) - 1:
            yield violation(watches_end_once, f"watch {watch} continued after its end", lines[ended[0] :])


def overviews_end_once(history: IndexedHistory) -> Iterator[Violation]:
    """A watch of many completes once, when all its ids are done. A watch without ids never completes."""
    for watch, lines in history.overviews.items():
        ended = [index for index, line in enumerate(lines) if line.what == "overview ended"]
        if not ended:
            continue
        if ended[0] != len(lines) - 1:
            yield violation(overviews_end_once, f"overview {watch} continued after its end", lines[ended[0] :])
        named = [name for line in lines if line.what == "overview" for name in line.fields.get("ids", ())]
        if not named:
            yield violation(overviews_end_once, f"overview {watch} ended although it had no ids", [lines[ended[0]]])
        missing = {name for line in lines if line.what == "missing" for name in line["ids"]}
        received = _last_received(lines)
        for name in named:
            if name not in missing and not (name in received and received[name]["done"]):
                shown = [received[name]] if name in received else []
                message = f"overview {watch} ended without the final state of {name}"
                yield violation(overviews_end_once, message, [*shown, lines[ended[0]]])


def watches_outlast_their_streams(history: IndexedHistory) -> Iterator[Violation]:
    """A watch is resumed when its stream ends. It fails only if the gateway stays unavailable."""
    for line in history.of("watch failed", "overview failed"):
        if line["code"] != "UNAVAILABLE":
            yield violation(watches_outlast_their_streams, f"watch {line['watch']} ended with {line['code']}", [line])


def watchers_hold_what_is_stored(history: IndexedHistory) -> Iterator[Violation]:
    """A client that has received everything has the final state of each generation."""
    for watch, lines in history.watches.items():
        saw = [line for line in lines if line.what == "saw"]
        if saw and any(line.what == "watch ended" for line in lines):
            yield from _compared(history, f"watch {watch}", saw[-1])
    for watch, lines in history.overviews.items():
        if not any(line.what == "overview ended" or line.fields.get("complete") for line in lines):
            continue
        received = _last_received(lines)
        for line in received.values():
            yield from _compared(history, f"overview {watch}", line)
        if any(line.what == "reset" for line in lines) or lines[0].fields.get("ids"):
            continue
        for name, final in history.final.items():
            submitted = history.submitted.get(final["key"])
            if name not in received and submitted and submitted.number > lines[0].number:
                message = f"overview {watch} never sent {name}"
                yield violation(watchers_hold_what_is_stored, message, [submitted, final])


def all_agree(history: IndexedHistory) -> Iterator[Violation]:
    """All clients receive the same content for the same revision."""
    for name, lines in history.shown_by_id.items():
        for revision, same in grouped(lines, "revision").items():
            first = same[0]
            for other in same[1:]:
                if any(first[field] != other[field] for field in ("state", "done", "accepted", "request", "outputs")):
                    message = f"revision {revision} of {name} is {first['state']} and {other['state']}"
                    yield violation(all_agree, message, [first, other])
                    break


def states_go_forward(history: IndexedHistory) -> Iterator[Violation]:
    """The state of a generation never goes back from one revision to the next."""
    for name, lines in history.shown_by_id.items():
        by_revision = {line["revision"]: line for line in lines}
        steps = [by_revision[revision] for revision in sorted(by_revision)]
        for before, after in pairwise(steps):
            if STATE_RANKS.get(after["state"], FINAL_RANK) < STATE_RANKS.get(before["state"], FINAL_RANK):
                message = f"{name} went from {before['state']} back to {after['state']}"
                yield violation(states_go_forward, message, [before, after])


def ended_is_final(history: IndexedHistory) -> Iterator[Violation]:
    """A generation does not change after its final state."""
    for name, lines in history.shown_by_id.items():
        end = next((line for line in lines if line["done"]), None)
        if end is None:
            continue
        for line in lines:
            if line["revision"] > end["revision"] or (line["done"] and line["state"] != end["state"]):
                yield violation(ended_is_final, f"{name} had ended as {end['state']}", [end, line])
                break


def nothing_seen_is_forgotten(history: IndexedHistory) -> Iterator[Violation]:
    """Everything that a client received is durable: the final revision is not older."""
    for name, final in history.final.items():
        for line in history.shown_by_id[name]:
            if line["revision"] > final["revision"]:
                message = f"{name} was sent at revision {line['revision']}, and ends at {final['revision']}"
                yield violation(nothing_seen_is_forgotten, message, [line, final])
                break


WATCH_INVARIANTS: tuple[Invariant, ...] = (
    watches_have_no_gap,
    overviews_have_no_gap,
    watches_end_once,
    overviews_end_once,
    watches_outlast_their_streams,
    watchers_hold_what_is_stored,
    all_agree,
    states_go_forward,
    ended_is_final,
    nothing_seen_is_forgotten,
)


def _last_received(lines: Sequence[Line]) -> dict[str, Line]:
    """Return the last message for each generation since the last reset."""
    received: dict[str, Line] = {}
    for line in lines:
        if line.what == "reset":
            received.clear()
        elif line.what == "news":
            received[line["id"]] = line
    return received


def _compared(history: IndexedHistory, who: str, line: Line) -> Iterator[Violation]:
    final = history.final.get(line["id"])
    if final is not None and (line["revision"], line["state"]) != (final["revision"], final["state"]):
        message = f"{who} last received {line['state']} ({line['revision']}) of {line['id']}"
        yield violation(watchers_hold_what_is_stored, message, [line, final])


def _began_at_the_end(history: IndexedHistory, lines: Sequence[Line]) -> bool:
    """Return whether the watch started at the last revision of a finished generation, so that nothing was left."""
    opened = next((line for line in lines if line.what == "watch"), None)
    final = None if opened is None else history.final.get(opened["id"])
    return opened is not None and final is not None and final["done"] and opened["after"] == final["revision"]
