"""What watchers may rely on: no gap, no repeat, no step back, one end, and at the end what the store has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from harness.history import Line
from harness.violations import Invariant, Lines, Violation, grouped, violation

ORDER = {"PENDING": 0, "UNCERTAIN": 1, "QUEUED": 2, "IN_PROGRESS": 3}
"""States in the order in which a generation goes through them; all others are ends."""
END = 4


def watches_have_no_gap(history: Lines) -> Iterator[Violation]:
    """Every watch tells each revision after the one it began behind: each once, in order."""
    for watch, lines in history.watches.items():
        opened = [line for line in lines if line.what == "watch"][:1]
        expected = opened[0]["after"] + 1 if opened else None
        for line in (line for line in lines if line.what == "saw"):
            if expected is not None and line["revision"] != expected:
                message = f"watch {watch} told revision {line['revision']} where {expected} was next"
                yield violation(watches_have_no_gap, message, [*opened, line])
            expected = line["revision"] + 1


def overviews_have_no_gap(history: Lines) -> Iterator[Violation]:
    """A watch of many tells the revisions of each generation once and in order; after a reset it begins anew.

    What exists when it begins is told from there on, what comes later from its first revision.
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
                told = before["revision"] if before else 0
                if line["revision"] != told + 1 and (before or caught_up):
                    message = f"overview {watch} told revision {line['revision']} of {line['id']} after {told}"
                    yield violation(overviews_have_no_gap, message, [before, line] if before else [line])
                last[line["id"]] = line


def watches_end_once(history: Lines) -> Iterator[Violation]:
    """A watch that ends as complete has told one end, as its last message; nothing follows an end."""
    for watch, lines in history.watches.items():
        saw = [line for line in lines if line.what == "saw"]
        ends = [index for index, line in enumerate(saw) if line["done"]]
        if ends and ends[0] != len(saw) - 1:
            yield violation(watches_end_once, f"watch {watch} went on after an end", saw[ends[0] :])
        ended = [index for index, line in enumerate(lines) if line.what == "watch ended"]
        if ended and not ends and not _began_at_the_end(history, lines):
            yield violation(watches_end_once, f"watch {watch} ended without an end", [*saw[-1:], lines[ended[0]]])
        if ended and ended[0] != len(lines) - 1:
            yield violation(watches_end_once, f"watch {watch} went on when it had ended", lines[ended[0] :])


def overviews_end_once(history: Lines) -> Iterator[Violation]:
    """A watch of many ends as complete when all that were named are done: once, and no other ever does."""
    for watch, lines in history.overviews.items():
        ended = [index for index, line in enumerate(lines) if line.what == "overview ended"]
        if not ended:
            continue
        if ended[0] != len(lines) - 1:
            yield violation(overviews_end_once, f"overview {watch} went on when it had ended", lines[ended[0] :])
        named = [name for line in lines if line.what == "overview" for name in line.fields.get("ids", ())]
        if not named:
            yield violation(overviews_end_once, f"overview {watch} ended, and had no ids", [lines[ended[0]]])
        missing = {name for line in lines if line.what == "missing" for name in line["ids"]}
        told = _held(lines)
        for name in named:
            if name not in missing and not (name in told and told[name]["done"]):
                shown = [told[name]] if name in told else []
                message = f"overview {watch} ended without the end of {name}"
                yield violation(overviews_end_once, message, [*shown, lines[ended[0]]])


def watches_outlast_their_streams(history: Lines) -> Iterator[Violation]:
    """Whatever ends a stream, its watch is resumed; it fails only where the gateway stays away."""
    for line in history.of("watch failed", "overview failed"):
        if line["code"] != "UNAVAILABLE":
            yield violation(watches_outlast_their_streams, f"watch {line['watch']} ended with {line['code']}", [line])


def watchers_hold_what_is_stored(history: Lines) -> Iterator[Violation]:
    """Who has been told all holds, of each generation, what the store has at the end."""
    for watch, lines in history.watches.items():
        saw = [line for line in lines if line.what == "saw"]
        if saw and any(line.what == "watch ended" for line in lines):
            yield from _compared(history, f"watch {watch}", saw[-1])
    for watch, lines in history.overviews.items():
        if not any(line.what == "overview ended" or line.fields.get("complete") for line in lines):
            continue
        held = _held(lines)
        for line in held.values():
            yield from _compared(history, f"overview {watch}", line)
        if any(line.what == "reset" for line in lines) or lines[0].fields.get("ids"):
            continue
        for name, final in history.final.items():
            submitted = history.submitted.get(final["key"])
            if name not in held and submitted and submitted.number > lines[0].number:
                message = f"overview {watch} never told of {name}"
                yield violation(watchers_hold_what_is_stored, message, [submitted, final])


def all_agree(history: Lines) -> Iterator[Violation]:
    """A revision of a generation is the same whoever sees it, whenever."""
    for name, lines in history.told_of.items():
        for revision, same in grouped(lines, "revision").items():
            first = same[0]
            for other in same[1:]:
                if any(first[field] != other[field] for field in ("state", "done", "accepted", "request", "outputs")):
                    message = f"revision {revision} of {name} is {first['state']} and {other['state']}"
                    yield violation(all_agree, message, [first, other])
                    break


def states_go_forward(history: Lines) -> Iterator[Violation]:
    """From revision to revision a generation goes on: never back, never to be sent anew after a doubt."""
    for name, lines in history.told_of.items():
        by_revision = {line["revision"]: line for line in lines}
        steps = [by_revision[revision] for revision in sorted(by_revision)]
        for before, after in pairwise(steps):
            if ORDER.get(after["state"], END) < ORDER.get(before["state"], END):
                message = f"{name} went from {before['state']} back to {after['state']}"
                yield violation(states_go_forward, message, [before, after])


def ended_is_final(history: Lines) -> Iterator[Violation]:
    """After its end a generation never changes."""
    for name, lines in history.told_of.items():
        end = next((line for line in lines if line["done"]), None)
        if end is None:
            continue
        for line in lines:
            if line["revision"] > end["revision"] or (line["done"] and line["state"] != end["state"]):
                yield violation(ended_is_final, f"{name} had ended as {end['state']}", [end, line])
                break


def nothing_seen_is_forgotten(history: Lines) -> Iterator[Violation]:
    """What was shown to anybody is durable: at the end the gateway knows at least as much."""
    for name, final in history.final.items():
        for line in history.told_of[name]:
            if line["revision"] > final["revision"]:
                message = f"{name} was shown at revision {line['revision']}, and is at {final['revision']}"
                yield violation(nothing_seen_is_forgotten, message, [line, final])
                break


WATCHING: tuple[Invariant, ...] = (
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


def _held(lines: Sequence[Line]) -> dict[str, Line]:
    """What a watch of many was told last of each generation, since it was told to forget what it held."""
    held: dict[str, Line] = {}
    for line in lines:
        if line.what == "reset":
            held.clear()
        elif line.what == "news":
            held[line["id"]] = line
    return held


def _compared(history: Lines, who: str, line: Line) -> Iterator[Violation]:
    final = history.final.get(line["id"])
    if final is not None and (line["revision"], line["state"]) != (final["revision"], final["state"]):
        message = f"{who} was left with {line['state']} ({line['revision']}) of {line['id']}"
        yield violation(watchers_hold_what_is_stored, message, [line, final])


def _began_at_the_end(history: Lines, lines: Sequence[Line]) -> bool:
    """It was opened behind the last revision of what is done: there was nothing left to tell."""
    opened = next((line for line in lines if line.what == "watch"), None)
    final = None if opened is None else history.final.get(opened["id"])
    return opened is not None and final is not None and final["done"] and opened["after"] == final["revision"]
