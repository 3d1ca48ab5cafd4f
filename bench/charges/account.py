"""What a run comes to for each client: what it was charged by the ledger, and what its callers were told."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from bench.charges.callers import Told
from bench.charges.faults import Submission
from harness.history import Line

COLUMNS = (
    "client", "submissions", "POSTs", "charges", "most for one", "charged more than once", "completed",
    "failed, given back", "UNCERTAIN, charged", "UNCERTAIN, not charged", "an error, charged",
    "an error, not charged", "neither of these", "charges nobody was told of",
)  # fmt: skip
GIVEN_BACK = frozenset({"failed", "nsfw"})
UNCERTAIN = "uncertain"


@dataclass(frozen=True, slots=True)
class Row:
    """One client; each submission is in one of the columns from `completed` to `neither`."""

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
    untold: int
    """Charges that stayed, of requests that no caller knows of and that nobody calls UNCERTAIN."""


def row(client: str, wanted: Sequence[Submission], told: Mapping[str, Told], ledger: Mapping[str, Any]) -> Row:
    """Hold what callers were told against the ledger."""
    given_back = {refund["request_id"] for refund in ledger["refunds"]}
    charges = Counter(charge["prompt"] for charge in ledger["charges"])
    kept = [charge for charge in ledger["charges"] if charge["request_id"] not in given_back]
    paid = {charge["prompt"] for charge in kept}
    ends = Counter(_end(told.get(one.prompt, Told()), paid=one.prompt in paid) for one in wanted)
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
        untold=sum(not _knows(told.get(charge["prompt"], Told()), charge["request_id"]) for charge in kept),
    )


def told_by_gateway(history: Sequence[Line]) -> dict[str, Told]:
    """By prompt, what the gateway says of each generation at the end. Who was never answered was told nothing."""
    prompts = {line["key"]: line["prompt"] for line in history if line.what == "submit"}
    finals = (line for line in history if line.what == "final")
    return {prompts[line["key"]]: Told(line["state"].lower(), line["request"]) for line in finals}


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table, clients from left to right: there are more figures than clients."""
    cells = [[_cell(value) for value in astuple(one)] for one in rows]
    lines = [[name, *column] for name, *column in zip(COLUMNS, *cells, strict=True)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = [f"| {' | '.join(map(str.ljust, line, widths))} |" for line in lines]
    shown.insert(1, f"|{'|'.join('-' * (width + 2) for width in widths)}|")
    return "\n".join(shown)


def _end(told: Told, *, paid: bool) -> str:
    charged = "charged" if paid else "free"
    if told.error or (told.status == "failed" and not told.request):
        return f"error, {charged}"
    if told.status == UNCERTAIN:
        return f"uncertain, {charged}"
    if told.status == "completed" and paid:
        return "completed"
    if told.status in GIVEN_BACK:
        # Other charges than its own may have stayed: those are counted as charges that nobody was told of.
        return "given back"
    return "neither"


def _knows(told: Told, request: str) -> bool:
    return told.status == UNCERTAIN or told.request == request


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
