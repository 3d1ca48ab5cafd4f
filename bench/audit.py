"""What the audit log costs: the processor time of Submit with it and without it, and its size."""

from bench import submit
from bench.calls import model_submission
from bench.figures import Figure, at_most, ratio
from bench.load import Effort, drive

IN_FLIGHT = 50


async def run(effort: Effort) -> list[Figure]:
    """Measure two gateways in turn. Their processor time is steadier than their rate."""
    async with submit.scene() as without, submit.scene(HFGATEWAY_AUDIT="on") as audited:
        sides = {
            name: (scene.submitting(model_submission(), IN_FLIGHT), scene.gateway)
            for name, scene in (("on", audited), ("off", without))
        }
        for callers, server in sides.values():
            await drive(callers, effort.seconds / 4, server)
        cpu: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(3 * effort.rounds):
            for name, (callers, server) in sides.items():
                cpu[name].append((await drive(callers, effort.seconds, server)).cpu)
    what = f"Submit with the audit log, {IN_FLIGHT} in flight, vs without"
    return [ratio(what, "server CPU us/call", cpu["on"], cpu["off"], at_most(1.05))]
