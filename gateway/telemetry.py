"""Logs and metrics. Log lines contain ids, but no inputs, no credentials and no query strings of URLs."""

import json
import logging
import re
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from enum import StrEnum
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

BOUNDS = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 3600.0)
"""The buckets of the duration of calls, in seconds."""
MOST_LINES, LINES_WITHIN = 10, 10.0
"""The log rate limit: lines with the same message, and the period in seconds."""
RATE_LIMITED = (
    "asyncio", "grpc._cython.cygrpc", "uvicorn.error", "gateway.rpc.chain", "gateway.web.server", "gateway.web.webhook",
)  # fmt: skip
"""The loggers of lines that callers can cause."""
_STANDARD_FIELDS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message"}
_SECRETS = re.compile(r"(?i)\b(key|bearer|basic)\s+[^\s\"']{6,}|hfg_[\w-]{8,}|hfw_[\w-]{8,}|whsec_[\w+/=-]+")
_QUERIES = re.compile(r"(https?://[^\s?\"']*)\?[^\s\"']*")


class Bad(StrEnum):
    """Why a request or a connection was rejected as invalid or excessive; a label of `hfgateway_bad_requests_total`."""

    CREDENTIALS = "credentials"
    """A missing or invalid API key or token."""
    SIZE = "size"
    """A message, a request head or a body that is too large."""
    VALUES = "values"
    """Too many values or levels in one message."""
    ENCODING = "encoding"
    """Malformed bytes: an invalid message, HTTP request or UTF-8 text, or an unknown compression."""
    CONNECTIONS = "connections"
    """A connection above the limit: it was refused, or an idle one was closed to make room."""
    HEALTH = "health"
    """A health watch above the limit."""
    ORIGIN = "origin"
    """A web origin that may not call, or a Host header that is not served."""
    WEBHOOK = "webhook"
    """A webhook with an unknown token, or with a missing or invalid signature."""
    SLOW = "slow"
    """A request that was not finished in time."""


class Telemetry:
    """The metrics of one gateway, with their own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._calls = _Calls()
        self.registry.register(self._calls)
        self._refused = Counter(
            "hfgateway_rpc_refused_total",
            "Calls refused because of overload, before they were read",
            ["method"],
            registry=self.registry,
        )
        self._bad = Counter(
            "hfgateway_bad_requests_total", "Requests and connections rejected as invalid or excessive", ["reason"],
            registry=self.registry,
        )  # fmt: skip
        self._ended = Counter(
            "hfgateway_generations_ended_total", "Generations that ended", ["state"], registry=self.registry
        )

    def calls(self, method: str) -> "MethodMetrics":
        """Return the metrics of a method; all transports share them."""
        return self._calls.methods.setdefault(method, MethodMetrics())

    def refusals(self, method: str) -> Callable[[], None]:
        """Return a function that counts a call refused before it was read. Such calls are not part of `calls`."""
        return self._refused.labels(method).inc

    def bad(self, reason: Bad) -> None:
        """Count a rejected request or connection."""
        self._bad.labels(reason.value).inc()

    def generation_ended(self, state: str) -> None:
        """Count a generation that reached a final state."""
        self._ended.labels(state).inc()

    def watch(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Register a gauge; `read` is called at each scrape."""
        Gauge(name, help_text, registry=self.registry).set_function(read)

    def exposition(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self.registry)


class MethodMetrics:
    """Counts the calls of one method in plain numbers, which become metrics at a scrape. For the event loop only.

    The counters of prometheus_client take a lock for each step, which costs a twentieth of a short call.
    """

    __slots__ = ("codes", "open", "seconds", "within")

    def __init__(self) -> None:
        self.open = 0
        self.codes: dict[str, int] = {}
        self.seconds = 0.0
        self.within = [0] * (len(BOUNDS) + 1)
        """Calls by the smallest bound that is not exceeded; the last element counts calls above all bounds."""

    def begin(self) -> float:
        """Record the start of a call; pass the result to `end`."""
        self.open += 1
        return time.perf_counter()

    def end(self, began: float, code: str) -> None:
        """Record the end of a call with a status code; `began` is the result of `begin`."""
        took = time.perf_counter() - began
        self.open -= 1
        self.seconds += took
        self.within[bisect_left(BOUNDS, took)] += 1
        self.codes[code] = self.codes.get(code, 0) + 1


class _Calls(Collector):
    """Exposes the `MethodMetrics` of all methods."""

    def __init__(self) -> None:
        self.methods: dict[str, MethodMetrics] = {}

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of a scrape."""
        ended = CounterMetricFamily("hfgateway_rpc", "Calls that ended", labels=["method", "code"])
        seconds = HistogramMetricFamily("hfgateway_rpc_seconds", "How long calls took", labels=["method"])
        running = GaugeMetricFamily("hfgateway_rpc_open", "Calls under way", labels=["method"])
        limits = [*map(floatToGoString, BOUNDS), "+Inf"]
        for method, metrics in self.methods.items():
            for code, count in metrics.codes.items():
                ended.add_metric([method, code], count)
            buckets = list(zip(limits, accumulate(metrics.within), strict=True))
            seconds.add_metric([method], buckets, metrics.seconds)
            running.add_metric([method], metrics.open)
        yield from (ended, seconds, running)


def redacted(text: str) -> str:
    """Remove from a text what looks like a secret, and the query strings of URLs."""
    return _QUERIES.sub(r"\1?[removed]", _SECRETS.sub("[removed]", text))


class _LineFormatter(logging.Formatter):
    """Formats a record as a JSON object, or as text for a console."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        extra = {name: value for name, value in record.__dict__.items() if name not in _STANDARD_FIELDS}
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        if self._form == "console":
            clock = time.strftime("%H:%M:%S", time.localtime(record.created))
            fields = "".join(f" {name}={value}" for name, value in extra.items())
            return redacted(f"{clock} {record.levelname.lower():8} {message}{fields}")
        content: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redacted(message),
        }
        return json.dumps(content | {name: redacted(str(value)) for name, value in extra.items()}, ensure_ascii=True)


def set_up_logging(form: str, level: str) -> None:
    """Send all logs to stderr. `form` is "console", "json", or "" for console if stderr is a terminal, else json."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LineFormatter(form or ("console" if sys.stderr.isatty() else "json")))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("grpc._cython.cygrpc").addFilter(_is_no_disconnect)
    rate_limit = LogRateLimit()
    for name in RATE_LIMITED:
        logging.getLogger(name).addFilter(rate_limit)
    for noisy in ("uvicorn.error", "httpx", "httpcore", "asyncio", "grpc._cython.cygrpc"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


class LogRateLimit(logging.Filter):
    """Passes at most `MOST_LINES` lines with the same message in `LINES_WITHIN` seconds, and drops the others.

    The first line of the next period has the number of dropped lines in its field `dropped`. It is for loggers that
    callers can cause to write, so that requests cannot flood the log.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._periods: dict[tuple[str, str], _Period] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write the line."""
        period = self._periods.setdefault((record.name, str(record.msg).partition("\n")[0]), _Period())
        now = self._now()
        if now - period.since >= LINES_WITHIN:
            if period.dropped:
                record.dropped = period.dropped
            period.since, period.written, period.dropped = now, 0, 0
        if period.written >= MOST_LINES:
            period.dropped += 1
            return False
        period.written += 1
        return True


class _Period:
    """The lines with one message in the current period."""

    __slots__ = ("dropped", "since", "written")

    def __init__(self) -> None:
        self.since = float("-inf")
        self.written = self.dropped = 0


def _is_no_disconnect(record: logging.LogRecord) -> bool:
    # grpc logs a traceback for each stream whose client disconnects while a write is pending. That is no error.
    return "ExecuteBatchError" not in record.getMessage()
