"""Records traces with OpenTelemetry's SDK and exports them by OTLP (docs/traces.md).

A unary call is a span, with its parts below it. What happens to a generation after the call that submitted it belongs
to other traces, which have a link to that call: the call's `traceparent` is stored with the generation.
"""

import logging
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2 as otlp
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway import tracing
from gateway.generations.model import Generation, GenerationId, State, UpstreamCall
from gateway.generations.stores import Saved, Webhook
from gateway.generations.watching.feed import Entries
from gateway.settings.config import WEBHOOK_PATH
from gateway.settings.values import is_loopback_host

PROVIDER = "higgsfield"
OPERATION = "generate_content"
"""The value of `gen_ai.operation.name` for a generation, from the GenAI semantic conventions."""
FLUSH_TIMEOUT = 3.0
"""Seconds for the export of the last spans when the gateway stops."""
CLOSING = "close traces"
"""The name of the thread that exports what is left, which runs on while the collector does not respond."""

_W3C = TraceContextTextMapPropagator()
_ROOT = Context()
"""The context of a span without a parent."""
_KINDS = {kind: otlp.Span.SpanKind.Value(f"SPAN_KIND_{kind.name}") for kind in SpanKind}
_STATUS = {code: otlp.Status(code=otlp.Status.StatusCode.Value(f"STATUS_CODE_{code.name}")) for code in StatusCode}
_LOCAL = otlp.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
_REMOTE = _LOCAL | otlp.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK

Receive = Callable[[Webhook], Awaitable[bool]]


class Traces:
    """Makes the spans of one gateway. `entries` are the generations that have not ended."""

    def __init__(self) -> None:
        """OpenTelemetry's own variables, such as OTEL_EXPORTER_OTLP_ENDPOINT, configure all of it."""
        logging.getLogger("opentelemetry.util.re").addFilter(_without_header)
        # The SDK prefers the attributes that it is given to those of its variables.
        resource = Resource.create({"service.name": "hfgateway", **OTELResourceDetector().detect().attributes})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(Exporter()))
        self._tracer = self._provider.get_tracer("hfgateway")
        self.entries = Entries(())

    def call(self, system: str, method: str, traceparent: str) -> tracing.Span:
        """Begin the span of a call; `system` is the RPC system, and `method` is /SERVICE/METHOD."""
        name = method[1:]
        attributes: dict[str, str | int] = {"rpc.system.name": system, "rpc.method": name}
        return _Span(self._tracer, name, _context_of(traceparent), kind=SpanKind.SERVER, attributes=attributes)

    def upstream_call(self, operation: str, made: UpstreamCall, about: GenerationId | None) -> None:
        """Record a call to Higgsfield that has ended.

        It is a part of the current span. Status polls have none and are not recorded: metrics count them.
        """
        parent = tracing.current.get()
        if parent is None and (about is None or operation == "status"):
            return
        now = time.time_ns()
        attributes: dict[str, str | int] = {"http.request.method": made.method, "url.path": made.path}
        attributes["hfgateway.operation"] = operation
        if about is not None:
            attributes["hfgateway.generation.id"] = about
        if made.correlation_id:
            attributes["hfgateway.correlation_id"] = made.correlation_id
        if made.http_status:
            attributes["http.response.status_code"] = made.http_status
        entry = self.entries.get(about) if about is not None else None
        if entry is not None:
            attributes |= _request_attributes(entry.generation)
        span = self._tracer.start_span(
            f"{made.method} {operation}",
            parent.context if isinstance(parent, _Span) else _ROOT,
            kind=SpanKind.CLIENT,
            attributes=attributes,
            links=() if parent is not None or entry is None else _links(entry.generation),
            start_time=now - int(made.seconds * 1e9),
        )
        if not made.http_status or made.http_status >= 400:
            _fail(span, str(made.http_status or "no_response"))
        span.end(now)

    def webhooks(self, receive: Receive) -> Receive:
        """Return `receive` with a span for each webhook of a known generation."""

        async def traced(webhook: Webhook) -> bool:
            entry = self.entries.get(webhook.generation_id)
            route = f"{WEBHOOK_PATH}{{token}}"
            attributes: dict[str, str | int] = {
                "http.request.method": "POST",
                "http.route": route,
                "hfgateway.generation.id": webhook.generation_id,
                "hfgateway.webhook.status": webhook.status,
            }
            links = () if entry is None else _links(entry.generation)
            span = _Span(self._tracer, f"POST {route}", _ROOT, kind=SpanKind.SERVER, attributes=attributes, links=links)
            token = tracing.current.set(span)
            taken = False
            try:
                taken = await receive(webhook)
            finally:
                tracing.current.reset(token)
                span.end("" if taken else "503")
            return taken

        return traced

    def on_commit(self, saved: Sequence[Saved]) -> None:
        """Record each generation that has ended, as one span from its submission to its end.

        It is a part of the call that submitted it, whichever process has the generation when it ends.
        """
        for save in saved:
            if save.generation is not None and save.generation.done and save.change is not None:
                self._ended(save.generation)

    def _ended(self, generation: Generation) -> None:
        spec = generation.spec
        span = self._tracer.start_span(
            f"{OPERATION} {spec.model_id}",
            _context_of(spec.traceparent),
            attributes=_request_attributes(generation)
            | {
                "hfgateway.generation.id": generation.id,
                "hfgateway.state": generation.state.name,
                "hfgateway.source": generation.source.name.lower(),
                "hfgateway.polls": generation.polls,
            }
            | ({"gen_ai.response.id": generation.request_id} if generation.request_id else {}),
            links=_links(generation),
            start_time=_nanoseconds(spec.create_time),
        )
        for name, when in (("accepted", generation.accept_time), ("started", generation.start_time)):
            if when is not None:
                span.add_event(name, timestamp=_nanoseconds(when))
        if generation.state not in (State.COMPLETED, State.CANCELED):
            failure = generation.failure
            _fail(span, failure.reason.name if failure is not None else generation.state.name)
        span.end(_nanoseconds(max(generation.end_time or generation.update_time, spec.create_time)))

    def close(self) -> None:
        """Export what is left, for at most `FLUSH_TIMEOUT` seconds."""
        closing = threading.Thread(target=self._provider.shutdown, name=CLOSING, daemon=True)
        closing.start()
        closing.join(FLUSH_TIMEOUT)


class _Span:
    """A span of OpenTelemetry as `tracing.Span`.

    The SDK creates it when another span or a header needs its id, or else at its end, with all attributes at once.
    """

    __slots__ = ("_attributes", "_kind", "_links", "_name", "_parent", "_span", "_start", "_tracer")

    def __init__(
        self,
        tracer: Tracer,
        name: str,
        parent: Context,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: dict[str, str | int] | None = None,
        links: tuple[Link, ...] = (),
    ) -> None:
        self._tracer = tracer
        self._name = name
        self._parent = parent
        self._kind = kind
        self._attributes = {} if attributes is None else attributes
        """The attributes that the SDK does not have yet."""
        self._links = links
        self._span: Span | None = None
        self._start = time.time_ns()

    @property
    def context(self) -> Context:
        return set_span_in_context(self._started_span(), _ROOT)

    @property
    def traceparent(self) -> str:
        context = self._started_span().get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"

    def child(self, name: str) -> "_Span":
        return _Span(self._tracer, name, self.context)

    def set(self, name: str, value: str | int) -> None:
        self._attributes[name] = value

    def end(self, error: str = "") -> None:
        span = self._started_span()
        if self._attributes:
            span.set_attributes(self._attributes)
        if error:
            _fail(span, error)
        span.end()

    def _started_span(self) -> Span:
        if self._span is None:
            self._span = self._tracer.start_span(
                self._name, self._parent, self._kind, self._attributes, self._links, self._start
            )
            self._attributes = {}
        return self._span


class Exporter(OTLPSpanExporter):
    """The SDK's exporter with an encoding of spans that takes a quarter of the time, because most attributes recur.

    All spans are made in this module: they have one resource and one scope, and no trace state, and their events and
    links have no attributes.

    A collector on this machine is reached without the proxy of the environment: gRPC would send it the spans and the
    headers of OTEL_EXPORTER_OTLP_HEADERS in plaintext.
    """

    def _initialize_channel_and_stub(self) -> None:
        if is_loopback_host(urlsplit(f"//{self._endpoint}").hostname or ""):
            options: dict[str, Any] = {**dict(self._channel_options), "grpc.enable_http_proxy": 0}
            self._channel_options = tuple(options.items())
        super()._initialize_channel_and_stub()  # type: ignore[no-untyped-call]

    def _translate_data(self, data: Sequence[ReadableSpan]) -> ExportTraceServiceRequest:
        request = encode_spans(data[:1])
        spans = request.resource_spans[0].scope_spans[0].spans
        del spans[:]
        for span in data:
            context, parent = span.context, span.parent
            attributes: Any = span.attributes  # a mapping proxy, whose `copy` is faster than its `items`
            made = spans.add(
                trace_id=context.trace_id.to_bytes(16),
                span_id=context.span_id.to_bytes(8),
                flags=_LOCAL,
                name=span.name,
                kind=_KINDS[span.kind],
                start_time_unix_nano=span.start_time,
                end_time_unix_nano=span.end_time,
                attributes=[_attribute(name, value) for name, value in attributes.copy().items()],
                status=_STATUS[span.status.status_code],
                dropped_attributes_count=span.dropped_attributes,
            )
            if parent is not None:
                made.parent_span_id, made.flags = parent.span_id.to_bytes(8), _flags(parent)
            for event in span.events:
                made.events.add(name=event.name, time_unix_nano=event.timestamp)
            for link in span.links:
                trace_id, span_id = link.context.trace_id.to_bytes(16), link.context.span_id.to_bytes(8)
                made.links.add(trace_id=trace_id, span_id=span_id, flags=_flags(link.context))
        return request


@lru_cache(maxsize=1024, typed=True)
def _attribute(name: str, value: str | int) -> KeyValue:
    if isinstance(value, str):
        return KeyValue(key=name, value=AnyValue(string_value=value))
    return KeyValue(key=name, value=AnyValue(int_value=value))


def _flags(context: SpanContext) -> int:
    """Return the flags of a span's parent, or of the span of a link: whether it is one of another process."""
    return _REMOTE if context.is_remote else _LOCAL


def _context_of(traceparent: str) -> Context:
    """Return the context of a caller's span. An invalid one is ignored, as the specification demands."""
    return _W3C.extract({"traceparent": traceparent}, _ROOT) if traceparent else _ROOT


def _links(generation: Generation) -> tuple[Link, ...]:
    context = get_current_span(_context_of(generation.spec.traceparent)).get_span_context()
    return (Link(context),) if context.is_valid else ()


def _request_attributes(generation: Generation) -> dict[str, str | int]:
    spec = generation.spec
    return {
        "gen_ai.operation.name": OPERATION,
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.request.model": spec.model_id,
        "hfgateway.tenant": spec.tenant,
    }


def _without_header(record: logging.LogRecord) -> bool:
    """Remove the header that the SDK could not read, which may be a secret, from the line about it."""
    record.args = ("[removed]",) * len(record.args or ())
    return True


def _fail(span: Span, error: str) -> None:
    span.set_attribute("error.type", error)
    span.set_status(StatusCode.ERROR)


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
