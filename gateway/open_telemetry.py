"""Records traces with OpenTelemetry's SDK and exports them by OTLP (docs/traces.md).

A unary call is a span, with its parts below it. What happens to a generation after the call that submitted it belongs
to other traces, which have a link to that call: the call's `traceparent` is stored with the generation.
"""

import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanKind, StatusCode, get_current_span, set_span_in_context
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway import tracing
from gateway.config import WEBHOOK_PATH
from gateway.generations.feed import Entry
from gateway.generations.model import Generation, GenerationId, State, UpstreamCall
from gateway.generations.stores import Saved, Webhook

PROVIDER = "higgsfield"
OPERATION = "generate_content"
"""The value of `gen_ai.operation.name` for a generation, from the GenAI semantic conventions."""
FLUSH_WITHIN = 3.0
"""Seconds for the export of the last spans when the gateway stops."""

_W3C = TraceContextTextMapPropagator()

Receive = Callable[[Webhook], Awaitable[bool]]


class Traces:
    """Makes the spans of one gateway. `entries` are the generations that have not ended."""

    def __init__(self) -> None:
        """OpenTelemetry's own variables, such as OTEL_EXPORTER_OTLP_ENDPOINT, configure all of it."""
        resource = Resource.create({"service.name": "hfgateway"})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("hfgateway")
        self.entries: Mapping[GenerationId, Entry] = {}

    def call(self, system: str, method: str, traceparent: str) -> tracing.Span:
        """Begin the span of a call; `system` is the RPC system, and `method` is /SERVICE/METHOD."""
        attributes = {"rpc.system.name": system, "rpc.method": method[1:]}
        span = self._tracer.start_span(
            method[1:], _context_of(traceparent), kind=SpanKind.SERVER, attributes=attributes
        )
        return _Span(self, span)

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
            parent.context if isinstance(parent, _Span) else Context(),
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
            span = self._tracer.start_span(
                f"POST {WEBHOOK_PATH}{{token}}",
                Context(),
                kind=SpanKind.SERVER,
                attributes={"http.request.method": "POST", "http.route": f"{WEBHOOK_PATH}{{token}}",
                    "hfgateway.generation.id": webhook.generation_id, "hfgateway.webhook.status": webhook.status},
                links=() if entry is None else _links(entry.generation),
            )  # fmt: skip
            token = tracing.current.set(_Span(self, span))
            taken = False
            try:
                taken = await receive(webhook)
            finally:
                tracing.current.reset(token)
                if not taken:
                    _fail(span, "503")
                span.end()
            return taken

        return traced

    def on_commit(self, saved: Sequence[Saved]) -> None:
        """Record each generation that has ended, as one span from its submission to its end.

        It is a part of the call that submitted it, whichever process has the generation when it ends.
        """
        for one in saved:
            if one.generation is not None and one.generation.done and one.change is not None:
                self._ended(one.generation)

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
            },
            links=_links(generation),
            start_time=_nanoseconds(spec.create_time),
        )
        if generation.request_id:
            span.set_attribute("gen_ai.response.id", generation.request_id)
        for name, when in (("accepted", generation.accept_time), ("started", generation.start_time)):
            if when is not None:
                span.add_event(name, timestamp=_nanoseconds(when))
        if generation.state not in (State.COMPLETED, State.CANCELED):
            failure = generation.failure
            _fail(span, failure.reason.name if failure is not None else generation.state.name)
        span.end(_nanoseconds(max(generation.end_time or generation.update_time, spec.create_time)))

    def close(self) -> None:
        """Export what is left, for at most `FLUSH_WITHIN` seconds."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(FLUSH_WITHIN)

    def begin(self, name: str, parent: Context) -> OtelSpan:
        """Begin a span inside another one."""
        return self._tracer.start_span(name, parent)


class _Span:
    """A span of OpenTelemetry as `tracing.Span`."""

    __slots__ = ("_span", "_traces", "context")

    def __init__(self, traces: Traces, span: OtelSpan) -> None:
        self._traces = traces
        self._span = span
        self.context = set_span_in_context(span, Context())

    @property
    def traceparent(self) -> str:
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"

    def child(self, name: str) -> "_Span":
        return _Span(self._traces, self._traces.begin(name, self.context))

    def set(self, name: str, value: str | int) -> None:
        self._span.set_attribute(name, value)

    def event(self, name: str) -> None:
        self._span.add_event(name)

    def end(self, error: str = "") -> None:
        if error:
            _fail(self._span, error)
        self._span.end()


def _context_of(traceparent: str) -> Context:
    """Return the context of a caller's span. An invalid one is ignored, as the specification demands."""
    return _W3C.extract({"traceparent": traceparent}, Context()) if traceparent else Context()


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


def _fail(span: OtelSpan, error: str) -> None:
    span.set_attribute("error.type", error)
    span.set_status(StatusCode.ERROR)


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
