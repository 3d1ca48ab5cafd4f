"""Logs and metrics. Log lines hold ids, never inputs, credentials or URLs' queries."""

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
"""Seconds: the buckets of how long calls take."""
MOST_LINES, LINES_WITHIN = 10, 10.0
"""Lines of one kind, and in how many seconds, where callers can cause them."""
SPARING = (
    "asyncio", "grpc._cython.cygrpc", "uvicorn.error", "gateway.rpc.chain", "gateway.web.server", "gateway.web.webhook",
)  # fmt: skip
"""The loggers of what callers can cause."""
_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message"}
_SECRETS = re.compile(r"(?i)\b(key|bearer|basic)\s+[^\s\"']{6,}|hfg_[\w-]{8,}|hfw_[\w-]{8,}|whsec_[\w+/=-]+")
_QUERIES = re.compile(r"(https?://[^\s?\"']*)\?[^\s\"']*")


class Bad(StrEnum):
    """Why a request or a connection was refused for what it is: the label of one counter."""

    CREDENTIALS = "credentials"
    """No API key or token, or one that opens nothing."""
    SIZE = "size"
    """A message, a head or a body that is too large."""
    VALUES = "values"
    """Too many values or levels in one message."""
    ENCODING = "encoding"
    """Bytes that are not what they should be: no message, no HTTP, no UTF-8, an unknown compression."""
    CONNECTIONS = "connections"
    """A connection too many: it was refused, or an idle one was closed for it."""
    HEALTH = "health"
    """A health watch too many."""
    ORIGIN = "origin"
    """A web page that may not call, or a host that is not served."""
    WEBHOOK = "webhook"
    """A webhook to no token of ours, or without its proof."""
    SLOW = "slow"
    """A request that was begun and not finished in time."""


class Telemetry:
    """The metrics of one gateway, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._calls = _Calls()
        self.registry.register(self._calls)
        self._refused = Counter(
            "hfgateway_rpc_refused_total", "Calls refused for overload, unread", ["method"], registry=self.registry
        )
        self._bad = Counter(
            "hfgateway_bad_requests_total", "Requests and connections refused for what they are", ["reason"],
            registry=self.registry,
        )  # fmt: skip
        self._ended = Counter(
            "hfgateway_generations_ended_total", "Generations that ended", ["state"], registry=self.registry
        )

    def calls(self, method: str) -> "MethodMetrics":
        """The metrics of one method, the same for every transport."""
        return self._calls.methods.setdefault(method, MethodMetrics())

    def refusals(self, method: str) -> Callable[[], None]:
        """Counts a call of the method that was refused before it was read: it is not among its `calls`."""
        return self._refused.labels(method).inc

    def bad(self, reason: Bad) -> None:
        """Count a request or a connection that was refused for what it is."""
        self._bad.labels(reason.value).inc()

    def generation_ended(self, state: str) -> None:
        """Count an end."""
        self._ended.labels(state).inc()

    def watch(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """A gauge that is read when it is asked for."""
        Gauge(name, help_text, registry=self.registry).set_function(read)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text form."""
        return generate_latest(self.registry)


class MethodMetrics:
    """Counts the calls of one method: plain numbers of the event loop's, which become metrics when they are asked for.

    The library's own counters and histograms take a lock for each step, which is a twentieth of a short call.
    """

    __slots__ = ("codes", "open", "seconds", "within")

    def __init__(self) -> None:
        self.open = 0
        self.codes: dict[str, int] = {}
        self.seconds = 0.0
        self.within = [0] * (len(BOUNDS) + 1)
        """Calls by the first of the bounds that they kept; the last is for those that kept none."""

    def begin(self) -> float:
        """A call begins; `end` is told what this returned."""
        self.open += 1
        return time.perf_counter()

    def end(self, began: float, code: str) -> None:
        """It ended with this code."""
        took = time.perf_counter() - began
        self.open -= 1
        self.seconds += took
        self.within[bisect_left(BOUNDS, took)] += 1
        self.codes[code] = self.codes.get(code, 0) + 1


class _Calls(Collector):
    """Shows the calls of all methods."""

    def __init__(self) -> None:
        self.methods: dict[str, MethodMetrics] = {}

    def collect(self) -> Iterator[Metric]:
        """What is counted now."""
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
    """Text without anything that looks like a secret, and without URLs' queries."""
    return _QUERIES.sub(r"\1?[removed]", _SECRETS.sub("[removed]", text))


class _Lines(logging.Formatter):
    """One line for each record, as JSON or for a person."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        extra = {name: value for name, value in record.__dict__.items() if name not in _OWN}
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        if self._form == "console":
            clock = time.strftime("%H:%M:%S", time.localtime(record.created))
            told = "".join(f" {name}={value}" for name, value in extra.items())
            return redacted(f"{clock} {record.levelname.lower():8} {message}{told}")
        content: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redacted(message),
        }
        return json.dumps(content | {name: redacted(str(value)) for name, value in extra.items()}, ensure_ascii=True)


def set_up_logging(form: str, level: str) -> None:
    """Send all logs to stderr: `form` console or json, empty for console on a terminal and json elsewhere."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(form or ("console" if sys.stderr.isatty() else "json")))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("grpc._cython.cygrpc").addFilter(_not_about_leavers)
    sparing = Sparing()
    for name in SPARING:
        logging.getLogger(name).addFilter(sparing)
    for noisy in ("uvicorn.error", "httpx", "httpcore", "asyncio", "grpc._cython.cygrpc"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


class Sparing(logging.Filter):
    """Lets `MOST_LINES` lines of one kind through in `LINES_WITHIN` seconds; the next says how many were left out.

    For loggers that callers can make write: no request may cost a line.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._kinds: dict[tuple[str, str], _Kind] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        kind = self._kinds.setdefault((record.name, str(record.msg).partition("\n")[0]), _Kind())
        now = self._now()
        if now - kind.since >= LINES_WITHIN:
            if kind.left_out:
                record.left_out = kind.left_out
            kind.since, kind.written, kind.left_out = now, 0, 0
        if kind.written >= MOST_LINES:
            kind.left_out += 1
            return False
        kind.written += 1
        return True


class _Kind:
    """The lines of one text."""

    __slots__ = ("left_out", "since", "written")

    def __init__(self) -> None:
        self.since = float("-inf")
        self.written = self.left_out = 0


def _not_about_leavers(record: logging.LogRecord) -> bool:
    """grpc tells with a traceback of every stream whose client has left while a write was pending; that is no error."""
    return "ExecuteBatchError" not in record.getMessage()
