"""The metrics of calls, as Prometheus reads them."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway import telemetry
from gateway.telemetry import DURATION_BUCKETS, MAX_LABELS, Telemetry

METHOD = "/a.Service/Method"
WAIT_TIMEOUT = 30.0
"""Seconds after which the test of a scrape that does not end fails."""


def samples(telemetry: Telemetry) -> dict[tuple[str, str], float]:
    """Return the method's samples by name and the value of the other label, if there is one."""
    found = {}
    for family in text_string_to_metric_families(asyncio.run(telemetry.exposition()).decode()):
        for sample in family.samples:
            labels = dict(sample.labels)
            if labels.pop("method", "") == METHOD:
                found[sample.name, "".join(labels.values())] = sample.value
    return found


def test_calls_are_counted_by_code_and_open_calls_by_a_gauge() -> None:
    telemetry = Telemetry()
    metrics = telemetry.method_metrics(METHOD)
    first, second, _third = metrics.begin(), metrics.begin(), metrics.begin()
    metrics.end(first, "OK")
    telemetry.method_metrics(METHOD).end(second, "NOT_FOUND")
    found = samples(telemetry)
    assert found["hfgateway_rpc_open", ""] == 1
    assert (found["hfgateway_rpc_total", "OK"], found["hfgateway_rpc_total", "NOT_FOUND"]) == (1, 1)


def test_a_label_has_a_bounded_number_of_values() -> None:
    telemetry = Telemetry()
    for number in range(MAX_LABELS + 2):
        telemetry.generation_ended("COMPLETED", f"tenant {number}", "model", accepted=True)
    telemetry.generation_ended("COMPLETED", "tenant 0", "model", accepted=True)
    counts = ended(telemetry, "tenant")
    assert len(counts) == MAX_LABELS + 1
    assert (counts["tenant 0"], counts["other"]) == (2, 2)


def test_models_that_higgsfield_did_not_accept_take_no_place_among_the_labels() -> None:
    telemetry = Telemetry()
    telemetry.generation_ended("COMPLETED", "tenant", "first", accepted=True)
    for number in range(MAX_LABELS + 2):
        telemetry.generation_ended("FAILED", "tenant", f"no model {number}", accepted=False)
    telemetry.generation_ended("FAILED", "tenant", "first", accepted=False)
    telemetry.generation_ended("COMPLETED", "tenant", "last", accepted=True)
    assert set(ended(telemetry, "model")) == {"first", "last", "other"}


def ended(telemetry: Telemetry, label: str) -> dict[str, float]:
    """Return the numbers of ended generations by a label."""
    return {
        sample.labels[label]: sample.value
        for family in text_string_to_metric_families(asyncio.run(telemetry.exposition()).decode())
        for sample in family.samples
        if sample.name == "hfgateway_generations_ended_total"
    }


def test_a_call_counts_in_every_bucket_above_its_duration() -> None:
    telemetry = Telemetry()
    metrics = telemetry.method_metrics(METHOD)
    took = [30.0, 600.0, 7200.0]  # far from any bound: a machine that stalls changes no bucket
    for seconds in took:
        metrics.begin()
        metrics.end(time.perf_counter() - seconds, "OK")
    found = samples(telemetry)
    buckets = {bound: found["hfgateway_rpc_seconds_bucket", str(bound)] for bound in DURATION_BUCKETS}
    assert buckets == {bound: sum(seconds < bound for seconds in took) for bound in DURATION_BUCKETS}
    assert found["hfgateway_rpc_seconds_bucket", "+Inf"] == found["hfgateway_rpc_seconds_count", ""] == len(took)
    assert sum(took) <= found["hfgateway_rpc_seconds_sum", ""] < sum(took) + 60


def test_scrapes_that_arrive_at_once_share_one_that_is_not_older_than_they_are() -> None:
    """A scrape needs no API key, so a flood of them must not take all of the gateway's time."""
    telemetry = Telemetry()
    reads: list[int] = []
    telemetry.add_gauge("hfgateway_reads", "", lambda: len(reads))

    async def scrape() -> None:
        began, proceed = asyncio.Event(), asyncio.Event()

        async def read() -> None:
            reads.append(1)
            began.set()
            await proceed.wait()

        telemetry.before_scrape(read)
        first = [asyncio.create_task(telemetry.exposition()) for _ in range(50)]
        async with asyncio.timeout(WAIT_TIMEOUT):
            await began.wait()
            later = [asyncio.create_task(telemetry.exposition()) for _ in range(50)]
            await asyncio.sleep(0)
            proceed.set()
            for number, scrapes in enumerate((first, later), 1):
                assert {f"hfgateway_reads {number}.0".encode() in text for text in await asyncio.gather(*scrapes)} == {
                    True
                }

    asyncio.run(scrape())


async def test_scrapes_take_at_most_a_fifth_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now, waited, sleep = 100.0, list[float](), asyncio.sleep

    def take_a_second(_: object) -> bytes:
        nonlocal now
        now += 1.0
        return b""

    async def record(seconds: float) -> None:
        waited.append(seconds)
        await sleep(0)

    monkeypatch.setattr(telemetry, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(telemetry, "generate_latest", take_a_second)
    monkeypatch.setattr(asyncio, "sleep", record)
    scraped = Telemetry()
    await scraped.exposition()
    await scraped.exposition()
    assert waited[0] <= 0
    assert waited[1:] == [4.0]


def test_a_value_that_cannot_be_read_delays_no_scrape() -> None:
    """The store may not respond: then the other metrics show it, and are needed most."""
    telemetry = Telemetry()

    async def scrape() -> None:
        never = asyncio.Event()

        async def read() -> None:
            await never.wait()

        telemetry.before_scrape(read)
        async with asyncio.timeout(WAIT_TIMEOUT):
            assert b"hfgateway_build_info" in await telemetry.exposition()

    asyncio.run(scrape())
