"""What traces cost: a gateway that exports a span for every call, beside one without traces."""

from bench import beside, processes, submit
from bench.figures import Figure, at_least
from bench.load import Effort


async def run(effort: Effort) -> list[Figure]:
    """Measure Submit and Get. The collector discards what it receives."""
    async with processes.running(processes.BASELINE) as collector:
        traced = {"HFGATEWAY_TRACES": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{collector.address}"}
        async with submit.scene() as without, submit.scene(**traced) as with_traces:
            return await beside.compared(
                ("traces", with_traces), ("none", without), {"Submit": at_least(0.7), "Get": at_least(0.7)}, effort
            )
