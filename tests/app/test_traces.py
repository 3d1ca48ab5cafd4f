"""Traces of a gateway, as a collector receives them over OTLP."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway.open_telemetry import CLOSING, Exporter
from gateway.process.opening import open_traces
from gateway.rpc.limits import call_limits
from gateway.rpc.limits.call_limits import Bounds
from gateway.settings.config import SettingError, read_settings
from hfgateway.v1 import generation_service_pb2 as pb
from tests.durability.process import stub
from tests.mcp.conftest import over_http
from tests.support.commits import commits
from tests.support.connect_proxy import ConnectProxy
from tests.support.running import WAIT_TIMEOUT, Running, public_url, run, soul
from tests.support.transports import RpcFailure

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE, PARENT = (bytes.fromhex(part) for part in CALLER.split("-")[1:3])
SUBMIT = "hfgateway.v1.GenerationService/SubmitGeneration"
WEBHOOK = "POST /webhooks/higgsfield/{token}"
GENERATED = "generate_content higgsfield-ai/soul/standard"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PROMPT = "a lighthouse at dusk"


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """An OTLP server on a real socket that keeps the spans."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()
        self.exported = b""
        self._arrived = asyncio.Condition()

    async def Export(self, request: trace_service_pb2.ExportTraceServiceRequest, _: object) -> object:
        self.exported += request.SerializeToString()
        for resource in request.resource_spans:
            names = {one.key: one.value.string_value for one in resource.resource.attributes}
            self.services.add(names["service.name"])
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]
        async with self._arrived:
            self._arrived.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()

    async def all_spans(self, name: str, count: int) -> list[Span]:
        """Wait for this number of spans with this name."""

        def found() -> list[Span]:
            return [span for span in self.spans if span.name == name]

        async with asyncio.timeout(WAIT_TIMEOUT), self._arrived:
            await self._arrived.wait_for(lambda: len(found()) >= count)
        return found()

    async def span(self, name: str) -> Span:
        """Wait for the span with this name; there must be one."""
        (found,) = await self.all_spans(name, 1)
        return found


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    server = grpc.aio.server()
    collector = Collector()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    await server.start()
    yield collector
    await server.stop(None)


async def submit(
    running: Running,
    traceparent: str = CALLER,
    prompt: str = PROMPT,
    wait_for: pb.WaitFor.ValueType = pb.WAIT_FOR_ACCEPTED,
) -> str:
    async with grpc.aio.insecure_channel(running.gateway.grpc_address) as channel:
        answer = await stub(channel).SubmitGeneration(
            soul(prompt, wait_for=wait_for), metadata=(("traceparent", traceparent),), timeout=WAIT_TIMEOUT
        )
    return answer.generation.id


def attributes(span: Span) -> dict[str, object]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def links(span: Span) -> list[tuple[bytes, bytes]]:
    return [(link.trace_id, link.span_id) for link in span.links]


async def test_a_trace_leads_from_the_caller_to_the_end(
    tmp_path: Path, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    signed = {"webhook_secret": SECRET, "WEBHOOK_SECRET": SECRET}
    async with run(tmp_path, TRACES="otlp", **signed, **public_url()) as running:
        generation_id = await submit(running)
        await running.start_running(generation_id)
        running.plan(on="status", kind="503", times=20)  # no poll finds its end before the webhook does
        finished = await running.finish(generation_id)
        submission, ended, webhook = [await collector.span(name) for name in (SUBMIT, GENERATED, WEBHOOK)]
        parts = {name: await collector.span(name) for name in ("store submission", "POST submit")}

    assert (submission.trace_id, submission.parent_span_id) == (TRACE, PARENT)
    assert submission.kind == Span.SPAN_KIND_SERVER
    assert attributes(submission) == {
        "rpc.system.name": "grpc", "rpc.method": SUBMIT, "rpc.response.status_code": "OK", "hfgateway.tenant": "default"
    }  # fmt: skip
    for part in parts.values():
        assert (part.trace_id, part.parent_span_id) == (TRACE, submission.span_id)
        assert submission.start_time_unix_nano <= part.start_time_unix_nano <= part.end_time_unix_nano
    request_attributes = {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.provider.name": "higgsfield",
        "gen_ai.request.model": "higgsfield-ai/soul/standard",
        "hfgateway.generation.id": generation_id,
        "hfgateway.tenant": "default",
    }
    posted = attributes(parts["POST submit"])
    assert posted.pop("hfgateway.correlation_id")
    assert posted == request_attributes | {
        "hfgateway.operation": "submit",
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "url.path": "/higgsfield-ai/soul/standard",
    }
    assert parts["POST submit"].kind == Span.SPAN_KIND_CLIENT
    assert webhook.trace_id != TRACE
    assert webhook.kind == Span.SPAN_KIND_SERVER
    assert attributes(webhook) == {
        "hfgateway.generation.id": generation_id,
        "hfgateway.webhook.status": "completed",
        "http.request.method": "POST",
        "http.route": "/webhooks/higgsfield/{token}",
    }
    assert links(webhook) == links(ended) == [(TRACE, submission.span_id)]
    assert (ended.trace_id, ended.parent_span_id) == (TRACE, submission.span_id)
    found = attributes(ended)
    assert int(str(found.pop("hfgateway.polls"))) > 0
    assert found == request_attributes | {
        "gen_ai.response.id": finished.upstream.request_id,
        "hfgateway.source": "webhook",
        "hfgateway.state": "COMPLETED",
    }
    assert [event.name for event in ended.events] == ["accepted", "started"]
    assert ended.status.code == Status.STATUS_CODE_UNSET
    assert PROMPT.encode() not in collector.exported
    assert collector.services == {"hfgateway"}
    logged = [line for line in caplog.records if getattr(line, "generation_id", "") == generation_id]
    assert logged
    assert {getattr(line, "trace_id", None) for line in logged if hasattr(line, "state")} == {TRACE.hex()}


@pytest.mark.parametrize(
    ("name", "value"), [("OTEL_SERVICE_NAME", "images"), ("OTEL_RESOURCE_ATTRIBUTES", "service.name=images")]
)
async def test_the_variables_of_the_sdk_name_the_service(
    tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    async with run(tmp_path, TRACES="otlp") as running:
        await submit(running)
        await collector.span(SUBMIT)
    assert collector.services == {"images"}


async def test_a_call_that_waits_for_a_place_shows_for_how_long(
    tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_limits, "WORKING", Bounds(token=1, tenant=1, total=1))
    async with run(tmp_path, TRACES="otlp") as running:
        with commits("claim") as claims:
            claims.hold()
            async with asyncio.TaskGroup() as together:
                together.create_task(submit(running))
                await claims.reached()
                together.create_task(submit(running))
                await running.metric_becomes("hfgateway_queued_submitting", 1)
                claims.release()
        calls = await collector.all_spans(SUBMIT, 2)
    assert sorted("hfgateway.queued_ms" in attributes(call) for call in calls) == [False, True]


async def test_a_submission_that_waited_is_a_trace_with_a_link_to_its_call(
    tmp_path: Path, collector: Collector
) -> None:
    async with run(tmp_path, TRACES="otlp", UPSTREAM_CONCURRENCY=1) as running:
        first = await submit(running, traceparent="")
        await submit(running, prompt="a fox", wait_for=pb.WAIT_FOR_STORED)
        await running.finish(first)
        posts = await collector.all_spans("POST submit", 2)
        (call,) = [one for one in await collector.all_spans(SUBMIT, 2) if one.trace_id == TRACE]
    assert [bool(post.parent_span_id) for post in posts] == [True, False]
    assert [links(post) for post in posts] == [[], [(TRACE, call.span_id)]]


async def test_a_tool_call_belongs_to_the_trace_of_its_request_and_its_watch_has_no_span(
    tmp_path: Path, collector: Collector
) -> None:
    async with run(tmp_path, TRACES="otlp", MCP="on") as running:
        async with over_http(running, traceparent=CALLER) as client:
            waiting = asyncio.create_task(client.call_tool("generate", {"input": {"soul": {"prompt": PROMPT}}}))
            await running.calls_open("WatchGeneration", 1)
            running.clock.advance(60)
            assert not (await waiting).is_error
        submission = await collector.span(SUBMIT)
    assert (submission.trace_id, submission.parent_span_id) == (TRACE, PARENT)
    assert attributes(submission)["rpc.system.name"] == "mcp"
    assert [span.name for span in collector.spans if "Watch" in span.name] == []


async def test_a_restart_keeps_the_trace_of_a_generation(tmp_path: Path, collector: Collector) -> None:
    async with run(tmp_path, TRACES="otlp") as running:
        generation_id = await submit(running)
        submission = await collector.span(SUBMIT)
        await running.stop_gateway()
        await running.start_gateway()
        await running.finish(generation_id)
        ended = await collector.span(GENERATED)

    assert (ended.trace_id, ended.parent_span_id) == (TRACE, submission.span_id)
    assert links(ended) == [(TRACE, submission.span_id)]
    assert running.ledger.summary()["status_calls"] > 0
    assert [span.name for span in collector.spans if not span.parent_span_id] == []  # no poll has a span


async def test_a_generation_and_a_call_to_higgsfield_that_fail_are_errors_with_their_causes(
    tmp_path: Path, collector: Collector
) -> None:
    async with run(tmp_path, TRACES="otlp") as running:
        running.plan(on="submit", headers={"X-Correlation-ID": "c-1"})
        failed = await running.finish(await submit(running, prompt="[fail] a fox"), "FAILED")
        post, ended = await collector.span("POST submit"), await collector.span(GENERATED)
        request = pb.CancelGenerationRequest(id=await submit(running))
        for kind in ("503", "reset"):
            running.plan(on="cancel", kind=kind)
            with pytest.raises(RpcFailure):
                await running.grpc.call("CancelGeneration", request)
        cancels = await collector.all_spans("POST cancel", 2)
        await running.grpc.call("CancelGeneration", request)
        _, canceled = await collector.all_spans(GENERATED, 2)
        await running.grpc.call("EstimateGeneration", pb.EstimateGenerationRequest(input=soul(PROMPT).input))
        estimate = await collector.span("POST estimate")
    error = Status.STATUS_CODE_ERROR
    assert (attributes(post)["hfgateway.correlation_id"], post.status.code) == ("c-1", Status.STATUS_CODE_UNSET)
    assert post.start_time_unix_nano < post.end_time_unix_nano
    assert (attributes(ended)["error.type"], ended.status.code) == ("GENERATION_FAILED", error)
    assert attributes(ended)["gen_ai.response.id"] == failed.upstream.request_id
    assert abs(ended.end_time_unix_nano - failed.end_time.ToNanoseconds()) < 1_000_000
    assert (attributes(canceled)["hfgateway.state"], canceled.status.code) == ("CANCELED", Status.STATUS_CODE_UNSET)
    names = ("error.type", "http.response.status_code")
    assert [[attributes(one).get(name) for name in names] for one in cancels] == [["503", 503], ["no_response", None]]
    assert [one.status.code for one in cancels] == [error, error]
    assert estimate.parent_span_id


async def test_a_failed_call_is_an_error_only_if_the_gateway_failed(tmp_path: Path, collector: Collector) -> None:
    async with run(tmp_path, TRACES="otlp") as running:
        for transport in running.transports.values():
            with pytest.raises(RpcFailure):
                await transport.call("GetGeneration", pb.GetGenerationRequest(id="no-such-id"))
        spans = [span for span in await received(collector, len(running.transports)) if "GetGeneration" in span.name]

    assert {attributes(span)["rpc.response.status_code"] for span in spans} == {"NOT_FOUND"}
    assert {attributes(span)["rpc.system.name"] for span in spans} == {"grpc", "connectrpc"}
    assert {span.status.code for span in spans} == {Status.STATUS_CODE_UNSET}


async def test_an_invalid_traceparent_begins_a_new_trace(tmp_path: Path, collector: Collector) -> None:
    async with run(tmp_path, TRACES="otlp") as running:
        await submit(running, "00-zz-01")
        submission = await collector.span(SUBMIT)

    assert submission.parent_span_id == b""
    assert submission.trace_id != TRACE


async def test_a_collector_that_is_away_delays_no_call_and_no_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    async with asyncio.timeout(WAIT_TIMEOUT):
        async with run(tmp_path, TRACES="otlp") as running:
            generation_id = await submit(running)
            await running.finish(generation_id)

    assert len(running.ledger.charges) == 1
    # It uses `random` until it gives up, which would make Hypothesis fail a later test of this process.
    for thread in threading.enumerate():
        if thread.name == CLOSING:
            await asyncio.to_thread(thread.join, WAIT_TIMEOUT)


async def test_a_collector_on_this_machine_is_reached_without_the_proxy(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection is in plaintext, and so are the headers, which may be secrets."""
    where = os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"].removeprefix("http://")
    async with ConnectProxy({where: where}) as proxy:
        for name in ("http_proxy", "https_proxy", "grpc_proxy"):
            monkeypatch.setenv(name, f"http://{proxy.address}")
        for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
            monkeypatch.delenv(name, raising=False)
        traces = open_traces(read_settings({"HFGATEWAY_TRACES": "otlp"}))
        assert traces is not None
        traces.call("grpc", f"/{SUBMIT}", "").end()
        await collector.span(SUBMIT)
        await asyncio.to_thread(traces.close)
    assert proxy.asked == []


@pytest.mark.parametrize("scheme", ["https://", ""])
def test_an_endpoint_with_a_password_is_refused(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    """The SDK logs the address whenever an export fails."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"{scheme}user:swordfish@collector.example:4317")
    with pytest.raises(SettingError, match="OTEL_EXPORTER_OTLP_HEADERS") as refused:
        open_traces(read_settings({"HFGATEWAY_TRACES": "otlp"}))
    assert "swordfish" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "swordfish"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "swordfish"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://[swordfish"),
    ],
)
def test_a_variable_that_the_sdk_refuses_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingError, match=rf"^HFGATEWAY_TRACES: .*{name}") as refused:
        open_traces(read_settings({"HFGATEWAY_TRACES": "otlp"}))
    assert "swordfish" not in str(refused.value)


def test_a_header_that_the_sdk_cannot_read_is_not_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team: swordfish")
    traces = open_traces(read_settings({"HFGATEWAY_TRACES": "otlp"}))
    assert traces is not None
    traces.close()
    assert "Header format invalid" in caplog.text
    assert "swordfish" not in caplog.text


def test_the_encoding_of_spans_is_that_of_the_sdk() -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("test")
    remote = TraceContextTextMapPropagator().extract({"traceparent": CALLER}, Context())
    for parent in (Context(), remote):
        for kind in SpanKind:
            link = Link(trace.get_current_span(remote).get_span_context())
            span = tracer.start_span(
                "a name", parent, kind, {"text": "1", "number": 1}, [link], start_time=1_000_000_007
            )
            child = tracer.start_span("a child", trace.set_span_in_context(span, parent))
            child.set_status(StatusCode.ERROR)
            child.end()
            span.add_event("accepted", timestamp=1_000_000_007)
            span.end()
    spans = kept.get_finished_spans()
    assert Exporter()._translate_data(spans) == encode_spans(spans)


async def received(collector: Collector, count: int) -> list[Span]:
    """Wait until `count` calls have arrived."""

    def calls() -> list[Span]:
        return [span for span in collector.spans if span.kind == Span.SPAN_KIND_SERVER]

    async with asyncio.timeout(WAIT_TIMEOUT), collector._arrived:
        await collector._arrived.wait_for(lambda: len(calls()) >= count)
    return calls()
