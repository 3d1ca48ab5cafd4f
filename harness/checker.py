"""The checker of histories: each invariant is a pure function from a history to its violations.

The checker uses no code of the gateway, only the names of states. It compares the gateway's responses to each client
with those to other clients and with the sandbox's ledger.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from harness.history import Line
from harness.violations import IndexedHistory, Invariant, Violation, violation
from harness.watch_checker import WATCH_INVARIANTS

UNDECIDED = "UNCERTAIN"
UNCHARGED_STATES = frozenset({"FAILED", "NSFW", "CANCELED"})
"""Final states for which the gateway promises that nothing was charged."""
STATUS_BY_STATE = {"COMPLETED": "completed", "FAILED": "failed", "NSFW": "nsfw", "CANCELED": "canceled"}
"""The sandbox's status of a request by the final state of its generation."""
SIGKILL_EXIT_CODE = -9
DEFECTS = frozenset({"INTERNAL", "INVALID_INPUT", "NOT_FOUND", "IDEMPOTENCY_KEY_REUSED", "INVALID_CREDENTIALS"})
"""Error reasons that a correct client must never receive."""


def charged_once(history: IndexedHistory) -> Iterator[Violation]:
    """No key is charged more than once, even if a charge is refunded."""
    keys = {prompt: key for key, prompt in history.prompts.items()}
    for prompt, charges in history.charges.items():
        if len(charges) > 1:
            yield violation(charged_once, f"{keys.get(prompt, prompt)} was charged {len(charges)} times", charges)


def every_charge_is_known(history: IndexedHistory) -> Iterator[Violation]:
    """A charge that is not refunded belongs to a generation that names it, or that is reported as unresolved."""
    for key, prompt in history.prompts.items():
        finals = history.final_by_key.get(key, [])
        for charge in history.unrefunded(prompt):
            if not any(_may_have_unknown_charge(final) or final["request"] == charge["request"] for final in finals):
                yield violation(
                    every_charge_is_known, f"no generation accounts for a charge of {key}", [charge, *finals]
                )


def every_key_ends(history: IndexedHistory) -> Iterator[Violation]:
    """Every generation that a client received exists at the end, and has ended or is UNCERTAIN."""
    for name, lines in history.shown_by_id.items():
        final = history.final.get(name)
        if final is None:
            yield violation(every_key_ends, f"{name} is gone", lines[-1:])
        elif not final["done"] and final["state"] != UNDECIDED:
            yield violation(every_key_ends, f"{name} is still {final['state']}", [final])


def free_means_free(history: IndexedHistory) -> Iterator[Violation]:
    """A generation that is FAILED, NSFW or CANCELED was not charged, or was refunded."""
    for line in _ends(history):
        if line["state"] not in UNCHARGED_STATES:
            continue
        # A refused submission releases its key, so another generation with this key may have been charged.
        others = [final for final in history.final_by_key.get(line["key"], []) if final["id"] != line["id"]]
        other_requests = {other["request"] for other in others}
        charged = [
            charge
            for charge in history.unrefunded(history.prompts.get(line["key"], ""))
            if charge["request"] not in other_requests and line["request"] in ("", charge["request"])
        ]
        if charged and not any(_may_have_unknown_charge(other) for other in others):
            yield violation(free_means_free, f"{line['id']} is {line['state']}, and charged", [line, *charged])


def ends_are_true(history: IndexedHistory) -> Iterator[Violation]:
    """The final state of a generation is that of its request at Higgsfield."""
    for line in _ends(history):
        request = history.requests.get(line["request"])
        expected = STATUS_BY_STATE.get(line["state"])
        if expected is None:
            continue
        if line["request"] and (request is None or request["status"] != expected):
            status = "unknown" if request is None else request["status"]
            shown = [line] if request is None else [line, request]
            yield violation(ends_are_true, f"{line['id']} is {line['state']}, its request is {status}", shown)
        elif request and request["prompt"] != history.prompts.get(line["key"], request["prompt"]):
            yield violation(ends_are_true, f"{line['id']} has the request of another", [line, request])
        elif line["state"] == "COMPLETED" and not line["request"]:
            yield violation(ends_are_true, f"{line['id']} is COMPLETED without a request", [line])


def one_generation_for_a_key(history: IndexedHistory) -> Iterator[Violation]:
    """A key identifies one generation. Only a refused submission releases it for another one."""
    key_of_call = {line["call"]: line["key"] for line in history.of("submit")}
    first: defaultdict[str, dict[str, Line]] = defaultdict(dict)
    for line in history.shown:
        key = key_of_call[line["call"]] if line.what == "submitted" else line["key"]
        first[key].setdefault(line["id"], line)
    for key, by_id in first.items():
        not_refused = [line for name, line in by_id.items() if not _refused(history.shown_by_id[name])]
        if len(not_refused) > 1:
            yield violation(one_generation_for_a_key, f"{key} has {len(not_refused)} generations", not_refused)


def deliveries_clear_doubts(history: IndexedHistory) -> Iterator[Violation]:
    """A generation whose webhook was accepted does not stay UNCERTAIN."""
    webhook_faults = [line for line in history.of("fault") if line["on"] == "webhook"]
    misdirected = {line.fields.get("prompt") for line in webhook_faults if line["kind"] == "foreign_id"}
    accepted = {line["request"]: line for line in history.of("delivery") if line["outcome"] == "200"}
    for final in history.of("final"):
        prompt = history.prompts.get(final["key"], "")
        for charge in history.charges.get(prompt, []) if final["state"] == UNDECIDED else []:
            if charge["request"] in accepted and prompt not in misdirected:
                message = f"{final['id']} is still {UNDECIDED}"
                yield violation(deliveries_clear_doubts, message, [final, charge, accepted[charge["request"]]])


def no_call_finds_a_defect(history: IndexedHistory) -> Iterator[Violation]:
    """No call ends with a reason that only a defect of the gateway explains."""
    for line in history.of("submit failed", "cancel failed", "watch failed", "overview failed"):
        if line["reason"] in DEFECTS:
            yield violation(no_call_finds_a_defect, f"a call ended with {line['reason']}", [line])


def no_gateway_ends_by_itself(history: IndexedHistory) -> Iterator[Violation]:
    """A gateway process ends only by SIGKILL, or with exit code 0 after SIGTERM."""
    stopped = False
    for line in history.of("start", "stop", "ended"):
        if line.what != "ended":
            stopped = line.what == "stop"
        elif line["exit"] != (0 if stopped else SIGKILL_EXIT_CODE):
            how = "did not stop cleanly" if stopped else "ended by itself"
            yield violation(no_gateway_ends_by_itself, f"a gateway {how}: exit code {line['exit']}", [line])


INVARIANTS: tuple[Invariant, ...] = (
    charged_once,
    every_charge_is_known,
    every_key_ends,
    free_means_free,
    ends_are_true,
    *WATCH_INVARIANTS,
    one_generation_for_a_key,
    deliveries_clear_doubts,
    no_call_finds_a_defect,
    no_gateway_ends_by_itself,
)


def check(lines: Sequence[Line]) -> list[Violation]:
    """Return all violations of a history. A history without its last line, `over`, is itself a violation."""
    history = IndexedHistory(lines)
    if not history.of("over"):
        return [Violation("history", "the last line is missing: the run was interrupted", tuple(lines[-1:]))]
    return [found for invariant in INVARIANTS for found in invariant(history)]


def _ends(history: IndexedHistory) -> Iterator[Line]:
    """Yield the first line that shows each final state of each generation."""
    seen = set()
    for line in history.shown:
        end = (line["id"], line["state"])
        if line["done"] and end not in seen:
            seen.add(end)
            yield line


def _may_have_unknown_charge(line: Line) -> bool:
    """Return whether the gateway may not know of a charge: if the generation has not ended, or is LOST."""
    return not line["done"] or line["state"] == "LOST"


def _refused(lines: Sequence[Line]) -> bool:
    return any(line["done"] and line["state"] == "FAILED" and not line["accepted"] for line in lines)
