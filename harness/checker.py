"""The judge: each invariant is a pure function from a history to its violations, with the lines that show them.

It shares nothing with the gateway but the names of the states, and believes nobody: what the gateway says is held
against what it said to others, and against the ledger of the sandbox.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from harness.history import Line
from harness.violations import Invariant, Lines, Violation, violation
from harness.watch_checker import WATCHING

UNDECIDED = "UNCERTAIN"
FREE = frozenset({"FAILED", "NSFW", "CANCELED"})
"""Ends that the gateway calls not charged."""
STATUS = {"COMPLETED": "completed", "FAILED": "failed", "NSFW": "nsfw", "CANCELED": "canceled"}
"""What the sandbox calls the request of a generation that ended so."""
KILLED = -9
DEFECTS = frozenset({"INTERNAL", "INVALID_INPUT", "NOT_FOUND", "IDEMPOTENCY_KEY_REUSED", "INVALID_CREDENTIALS"})
"""Reasons that no call of a well-behaved client may end with."""


def charged_once(history: Lines) -> Iterator[Violation]:
    """No key is charged more than once, refunds aside."""
    keys = {prompt: key for key, prompt in history.prompts.items()}
    for prompt, charges in history.charges.items():
        if len(charges) > 1:
            yield violation(charged_once, f"{keys.get(prompt, prompt)} was charged {len(charges)} times", charges)


def every_charge_is_known(history: Lines) -> Iterator[Violation]:
    """Credits that stayed taken belong to a generation that says so, or that says that it does not know."""
    for key, prompt in history.prompts.items():
        finals = history.of_key.get(key, [])
        for charge in history.unrefunded(prompt):
            if not any(_open(final) or final["request"] == charge["request"] for final in finals):
                yield violation(every_charge_is_known, f"nobody knows of a charge for {key}", [charge, *finals])


def every_key_ends(history: Lines) -> Iterator[Violation]:
    """What a client was told exists is there at the end, and has ended or is UNCERTAIN in sight."""
    for name, lines in history.told_of.items():
        final = history.final.get(name)
        if final is None:
            yield violation(every_key_ends, f"{name} is gone", lines[-1:])
        elif not final["done"] and final["state"] != UNDECIDED:
            yield violation(every_key_ends, f"{name} is still {final['state']}", [final])


def free_means_free(history: Lines) -> Iterator[Violation]:
    """Who is told FAILED, NSFW or CANCELED was not charged, or got it back."""
    for line in _ends(history):
        if line["state"] not in FREE:
            continue
        # After a refusal its key may stand for another generation: that one's charge is no fault of this one.
        others = [final for final in history.of_key.get(line["key"], []) if final["id"] != line["id"]]
        theirs = {other["request"] for other in others}
        charged = [
            charge
            for charge in history.unrefunded(history.prompts.get(line["key"], ""))
            if charge["request"] not in theirs and line["request"] in ("", charge["request"])
        ]
        if charged and not any(_open(other) for other in others):
            yield violation(free_means_free, f"{line['id']} is {line['state']}, and charged", [line, *charged])


def ends_are_true(history: Lines) -> Iterator[Violation]:
    """An end is the one that the request had: nobody is told of another."""
    for line in _ends(history):
        request = history.requests.get(line["request"])
        expected = STATUS.get(line["state"])
        if expected is None:
            continue
        if line["request"] and (request is None or request["status"] != expected):
            told = "unknown" if request is None else request["status"]
            shown = [line] if request is None else [line, request]
            yield violation(ends_are_true, f"{line['id']} is {line['state']}, its request is {told}", shown)
        elif request and request["prompt"] != history.prompts.get(line["key"], request["prompt"]):
            yield violation(ends_are_true, f"{line['id']} has the request of another", [line, request])
        elif line["state"] == "COMPLETED" and not line["request"]:
            yield violation(ends_are_true, f"{line['id']} is COMPLETED without a request", [line])


def one_generation_for_a_key(history: Lines) -> Iterator[Violation]:
    """A key stands for one generation; only a refusal frees it for another."""
    mine = {line["call"]: line["key"] for line in history.of("submit")}
    first: defaultdict[str, dict[str, Line]] = defaultdict(dict)
    for line in history.told:
        key = mine[line["call"]] if line.what == "submitted" else line["key"]
        first[key].setdefault(line["id"], line)
    for key, by_id in first.items():
        kept = [line for name, line in by_id.items() if not _refused(history.told_of[name])]
        if len(kept) > 1:
            yield violation(one_generation_for_a_key, f"{key} has {len(kept)} generations", kept)


def deliveries_clear_doubts(history: Lines) -> Iterator[Violation]:
    """Who took a delivery about a generation does not stay in doubt of it."""
    webhook_faults = [line for line in history.of("fault") if line["on"] == "webhook"]
    astray = {line.fields.get("prompt") for line in webhook_faults if line["kind"] == "foreign_id"}
    taken = {line["request"]: line for line in history.of("delivery") if line["outcome"] == "200"}
    for final in history.of("final"):
        prompt = history.prompts.get(final["key"], "")
        for charge in history.charges.get(prompt, []) if final["state"] == UNDECIDED else []:
            if charge["request"] in taken and prompt not in astray:
                message = f"{final['id']} is still {UNDECIDED}"
                yield violation(deliveries_clear_doubts, message, [final, charge, taken[charge["request"]]])


def no_call_finds_a_defect(history: Lines) -> Iterator[Violation]:
    """Whatever happens, calls end as the contract says: no defect, nothing unknown that was known before."""
    for line in history.of("submit failed", "cancel failed", "watch failed", "overview failed"):
        if line["reason"] in DEFECTS:
            yield violation(no_call_finds_a_defect, f"a call ended with {line['reason']}", [line])


def no_gateway_ends_by_itself(history: Lines) -> Iterator[Violation]:
    """A process of the gateway ends when it is killed, or, in good order, when it is told to."""
    stopped = False
    for line in history.of("start", "stop", "ended"):
        if line.what != "ended":
            stopped = line.what == "stop"
        elif line["exit"] != (0 if stopped else KILLED):
            how = "did not stop in good order" if stopped else "ended by itself"
            yield violation(no_gateway_ends_by_itself, f"a gateway {how}, with {line['exit']}", [line])


INVARIANTS: tuple[Invariant, ...] = (
    charged_once,
    every_charge_is_known,
    every_key_ends,
    free_means_free,
    ends_are_true,
    *WATCHING,
    one_generation_for_a_key,
    deliveries_clear_doubts,
    no_call_finds_a_defect,
    no_gateway_ends_by_itself,
)


def check(lines: Sequence[Line]) -> list[Violation]:
    """All violations of a history. A file without its last line proves nothing, and is one itself."""
    history = Lines(lines)
    if not history.of("over"):
        return [Violation("history", "it has no last line: the run was interrupted", tuple(lines[-1:]))]
    return [found for invariant in INVARIANTS for found in invariant(history)]


def _ends(history: Lines) -> Iterator[Line]:
    """The first line that tells of each end."""
    seen = set()
    for line in history.told:
        end = (line["id"], line["state"])
        if line["done"] and end not in seen:
            seen.add(end)
            yield line


def _open(line: Line) -> bool:
    """It says itself that it may have a charge that it does not know of."""
    return not line["done"] or line["state"] == "LOST"


def _refused(lines: Sequence[Line]) -> bool:
    return any(line["done"] and line["state"] == "FAILED" and not line["accepted"] for line in lines)
