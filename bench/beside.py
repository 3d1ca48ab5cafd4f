"""Submit and Get of two gateways with different settings, measured in turn."""

from collections.abc import Callable, Mapping

from bench.calls import GET, SUBMIT, get_request, model_submission
from bench.figures import Figure, Goal, ratio
from bench.load import Effort, alternating, drive
from bench.submit import Scene

IN_FLIGHT = 200


async def compared(
    ours: tuple[str, Scene], baseline: tuple[str, Scene], goals: Mapping[str, Goal], effort: Effort
) -> list[Figure]:
    """Compare the rates of both methods, which have a goal each, and the duration of a lone submission."""
    model = model_submission()
    scenes = dict((ours, baseline))
    rates: dict[tuple[str, str], list[float]] = {}
    loads = {}
    for name, scene in scenes.items():
        loads[name, "Submit"] = scene.submitting(model, IN_FLIGHT)
        requests = [await _get_request(scene, key) for key in scene.to_gateway.keys]
        loads[name, "Get"] = scene.to_gateway.callers(GET, requests, IN_FLIGHT)
    for (name, _), callers in loads.items():
        await drive(callers, effort.seconds / 4, scenes[name].gateway)
    for _ in range(effort.rounds):
        for (name, what), callers in loads.items():
            load = await drive(callers, effort.seconds, scenes[name].gateway)
            rates.setdefault((name, what), []).append(load.rate)
    lone = await alternating({name: scene.submitting(model, 1)[0] for name, scene in scenes.items()}, effort.lone_calls)
    (name, _), (other, _) = ours, baseline
    return [
        *(
            ratio(
                f"{what} with {name}, {IN_FLIGHT} in flight, vs {other}", "calls/s",
                rates[name, what], rates[other, what], goal,
            )
            for what, goal in goals.items()
        ),
        ratio(f"a lone Submit with {name} vs {other}", "ms, p50", [lone[name]], [lone[other]]),
    ]  # fmt: skip


async def _get_request(scene: Scene, key: int) -> Callable[[], bytes]:
    request = await get_request(scene.to_gateway.unary(SUBMIT, key))
    return lambda: request
