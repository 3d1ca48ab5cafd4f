"""Translation: counts the responses of Higgsfield that have a value which no caller can read. Measures no time."""

from bench.figures import Figure, promised, value
from bench.load import FULL, Effort
from harness.responses.generations import KINDS, SHARES, lost_values
from harness.responses.mutations import case

CASES, QUICK_CASES = 10_000, 1_000


async def run(effort: Effort) -> list[Figure]:
    """Mutate recorded statuses, webhooks and job sets, and search their values in the messages made from them."""
    total = CASES if effort.rounds >= FULL.rounds else QUICK_CASES
    read = lost = 0
    for name, kind in KINDS.items():
        for number in range(round(total * SHARES[name])):
            gone = lost_values(kind, case(number, kind.recorded).body, number)
            read += gone is not None
            lost += bool(gone)
    return [
        value(f"answers lost in translation, of {total:,} mutated ones", "answers", lost, promised(0)),
        value("readable ones among them", "answers", read),
    ]
