"""The result of a run for each client: its charges in the ledger and the outcomes that its callers received."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from bench.charges.callers import CallerOutcome
from bench.charges.faults import Submission
from harness.history import Line

COLUMNS = (
    "client", "submissions", "POSTs", "charges", "most for one", "charged more than once", "completed",
    "failed, given back", "UNCERTAIN, charged", "UNCERTAIN, not charged", "an error, charged",
    "an error, not charged", "neither of these", "charges unknown to callers",
)  # fmt: skip
GIVEN_BACK = frozenset({"failed", "nsfw"})
UNCERTAIN = "uncertain"


@dataclass(frozen=True, slots=True)
class Row:
    """One client. Each submission is counted in one of the fields from `completed` to `neither`."""

    client: str
    submissions: int
    posts: int
    charges: int
    most: int
    more_than_once: int
    completed: int
    given_back: int
    uncertain_charged: int
    uncertain_free: int
    error_charged: int
    error_free: int
    neither: int
    unknown_charges: int
    """Charges without a refund for requests that no caller knows of and that are not reported as UNCERTAIN."""


def row(
    client: str, wanted: Sequence[Submission], outcomes: Mapping[str, CallerOutcome], ledger: Mapping[str, Any]
) -> Row:
    """Compare the outcomes that callers received with the ledger."""
    given_back = {refund["request_id"] for refund in ledger["refunds"]}
    charges = Counter(charge["prompt"] for charge in ledger["charges"])
    kept = [charge for charge in ledger["charges"] if charge["request_id"] not in given_back]
    paid = {charge["prompt"] for charge in kept}
    ends = Counter(_end(outcomes.get(one.prompt, CallerOutcome()), paid=one.prompt in paid) for one in wanted)
    return Row(
        client,
        submissions=len(wanted),
        posts=len(ledger["submissions"]),
        charges=charges.total(),
        most=max(charges.values(), default=0),
        more_than_once=sum(number > 1 for number in charges.values()),
        completed=ends["completed"],
        given_back=ends["given back"],
        uncertain_charged=ends["uncertain, charged"],
        uncertain_free=ends["uncertain, free"],
        error_charged=ends["error, charged"],
        error_free=ends["error, free"],
        neither=ends["neither"],
        unknown_charges=sum(
            not _knows(outcomes.get(charge["prompt"], CallerOutcome()), charge["request_id"]) for charge in kept
        ),
    )


def outcomes_from_history(history: Sequence[Line]) -> dict[str, CallerOutcome]:
    """Return the gateway's final state of each generation by prompt. Callers without a response have none."""
    prompts = {line["key"]: line["prompt"] for line in history if line.what == "submit"}
    finals = (line for line in history if line.what == "final")
    return {prompts[line["key"]]: CallerOutcome(line["state"].lower(), line["request"]) for line in finals}


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table with a column for each client."""
    cells = [[_cell(value) for value in astuple(one)] for one in rows]
    lines = [[name, *column] for name, *column in zip(COLUMNS, *cells, strict=True)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = [f"| {' | '.join(map(str.ljust, line, widths))} |" for line in lines]
    shown.insert(1, f"|{'|'.join('-' * (width + 2) for width in widths)}|")
    return "\n".join(shown)


def _end(outcome: CallerOutcome, *, paid: bool) -> str:
    charged = "charged" if paid else "free"
    if outcome.error or (outcome.status == "failed" and not outcome.request):
        return f"error, {charged}"
    if outcome.status == UNCERTAIN:
        return f"uncertain, {charged}"
    if outcome.status == "completed" and paid:
        return "completed"
    if outcome.status in GIVEN_BACK:
        # Charges of other requests may remain: they are counted as `unknown_charges`.
        return "given back"
    return "neither"


def _knows(outcome: CallerOutcome, request: str) -> bool:
    return outcome.status == UNCERTAIN or outcome.request == request


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
