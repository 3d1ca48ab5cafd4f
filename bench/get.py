"""Get of a live generation, which is served from memory, compared with a bare server that returns the same bytes."""

from bench import processes
from bench.calls import ANSWER, GET, KEEP, SUBMIT, get_request
from bench.figures import Figure, at_least, at_most, ratio
from bench.load import Effort, channels, drive

IN_FLIGHT = 50


async def run(effort: Effort) -> list[Figure]:
    """Measure its rate and its CPU time."""
    ours, floor = [], []
    async with (
        processes.steady_upstream() as higgsfield,
        processes.gateway(higgsfield) as gateway,
        processes.running(processes.BASELINE) as bare,
        channels(gateway, IN_FLIGHT) as to_gateway,
        channels(bare, IN_FLIGHT) as to_bare,
    ):
        request = await get_request(to_gateway.unary(SUBMIT))
        await to_bare.unary(KEEP)(await to_gateway.unary(GET)(request))
        gets = to_gateway.callers(GET, lambda: request, IN_FLIGHT)
        answers = to_bare.callers(ANSWER, lambda: request, IN_FLIGHT)
        await drive(gets, effort.seconds / 4, gateway)
        await drive(answers, effort.seconds / 4, bare)
        for _ in range(2 * effort.rounds):
            floor.append(await drive(answers, effort.seconds / 2, bare))
            ours.append(await drive(gets, effort.seconds / 2, gateway))
    return [
        ratio(
            "Get, 50 in flight", "calls/s", [load.rate for load in ours], [load.rate for load in floor], at_least(0.85)
        ),
        ratio(
            "Get, 50 in flight", "server CPU us/call", [load.cpu for load in ours], [load.cpu for load in floor],
            at_most(1.15),
        ),
    ]  # fmt: skip
