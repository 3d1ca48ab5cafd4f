"""Logs and metrics. Log lines contain ids, but no inputs, no credentials and no query strings of URLs."""

import asyncio
import contextlib
import json
import logging
import os
import re
import select
import sys
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from enum import StrEnum
from importlib.metadata import version
from itertools import accumulate
from typing import Any, TextIO

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

VERSION = version("hfgateway")
DURATION_BUCKETS = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 3600.0)
"""The buckets of the duration of calls, in seconds."""
BUCKET_LABELS = [*map(floatToGoString, DURATION_BUCKETS), "+Inf"]
MAX_LABELS = 100
"""Values of a label that callers determine, such as the tenant."""
MAX_LINES, LINES_PERIOD = 10, 10.0
"""The log rate limit: lines with the same message, and the period in seconds."""
WRITE_TIMEOUT = 0.05
"""Seconds for which a warning waits for the reader of the log. Lines below warning do not wait."""
READ_TIMEOUT = 2.0
"""Seconds for which a scrape waits for a value that is not in memory. Prometheus gives a scrape up after 10 s."""
SCRAPE_SHARE = 0.2
"""The largest part of the gateway's time that scrapes may take. They need no API key, and one takes milliseconds."""
RATE_LIMITED = (
    "asyncio", "grpc._cython.cygrpc", "uvicorn.error", "gateway.higgsfield.client", "gateway.mcp.server",
    "gateway.rpc.chain", "gateway.rpc.transports.forwarding", "gateway.web.server", "gateway.web.webhook",
)  # fmt: skip
"""The loggers of lines that callers can cause."""
_STANDARD_FIELDS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message"}
_SECRETS = re.compile(r"(?i)\b(key|bearer|basic)\s+[^\s\"']{6,}|hfg_[\w-]{8,}|hfw_[\w-]{8,}|whsec_[\w+/=-]+")
_MAY_HAVE_SECRETS = re.compile(r"[\s_?]")
"""What every match of the two other patterns has. Most values of fields, such as ids, have none of it."""
_QUERIES = re.compile(r"(https?://[^\s?\"']*)\?[^\s\"']*")


class Rejection(StrEnum):
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
        ProcessCollector(registry=self.registry)
        Gauge("hfgateway_build_info", "1, with the version as a label", ["version"], registry=self.registry).labels(
            VERSION
        ).set(1)
        self._calls = _Calls()
        self.registry.register(self._calls)
        self._counts = _Counts()
        self._before_scrape: list[Callable[[], Awaitable[None]]] = []
        self._scraping = asyncio.Lock()
        self._next_scrape: asyncio.Future[bytes] | None = None
        """The scrape that has not begun yet, which new callers share."""
        self._next_scrape_at = 0.0
        self.registry.register(self._counts)
        self.add_counter("hfgateway_critical_log_lines", "Log lines of the level critical", lambda: _Stderr.critical)
        self._refused = Counter(
            "hfgateway_rpc_refused_total",
            "Calls refused because of overload",
            ["method"],
            registry=self.registry,
        )
        self._rejections = Counter(
            "hfgateway_bad_requests_total", "Requests and connections rejected as invalid or excessive", ["reason"],
            registry=self.registry,
        )  # fmt: skip
        self._ended = Counter(
            "hfgateway_generations_ended_total", "Generations that ended", ["state", "tenant", "model"],
            registry=self.registry,
        )  # fmt: skip
        self._forwarded = Counter(
            "hfgateway_forwarded_calls_total", "Calls that this replica forwarded to the leader", ["code"],
            registry=self.registry,
        )  # fmt: skip
        self._tenants, self._models = _Label(), _Label()

    def method_metrics(self, method: str) -> "MethodMetrics":
        """Return the metrics of a method; all transports share them."""
        return self._calls.methods[method]

    def refusal_counter(self, method: str) -> Callable[[], None]:
        """Return a function that counts a call refused because of overload."""
        return self._refused.labels(method).inc

    def count_rejection(self, reason: Rejection) -> None:
        """Count a rejected request or connection."""
        self._rejections.labels(reason.value).inc()

    def forwarded(self, code: str) -> None:
        """Count a call that was forwarded to the leader, by the code with which it ended."""
        self._forwarded.labels(code).inc()

    def generation_ended(self, state: str, tenant: str, model_id: str, *, accepted: bool) -> None:
        """Count a generation that reached a final state.

        The model of one that Higgsfield did not accept is "other", unless it is known from one that was accepted: a
        tenant may submit any text as a model, at no cost.
        """
        model = self._models.value(model_id) if accepted else self._models.known(model_id)
        self._ended.labels(state, self._tenants.value(tenant), model).inc()

    def add_gauge(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Register a gauge; `read` is called at each scrape."""
        Gauge(name, help_text, registry=self.registry).set_function(read)

    def add_labeled_gauge(self, name: str, help_text: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        """Register a gauge with a label; `read` returns its values by the value of the label at each scrape."""
        self.registry.register(_Gauges(name, help_text, label, read))

    def add_counter(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Register a counter, without `_total` in its name; `read` returns its value at each scrape."""
        self._counts.rows.append((name, help_text, read))

    def before_scrape(self, read: Callable[[], Awaitable[None]]) -> None:
        """Await `read` before each scrape, for at most READ_TIMEOUT seconds. It reads a value that is not in memory."""
        self._before_scrape.append(read)

    async def exposition(self) -> bytes:
        """Return all metrics in the Prometheus text format. Callers share a scrape that begins after their calls."""
        if self._next_scrape is None:
            self._next_scrape = asyncio.ensure_future(self._scrape())
        return await asyncio.shield(self._next_scrape)

    async def _scrape(self) -> bytes:
        async with self._scraping:
            await asyncio.sleep(self._next_scrape_at - time.monotonic())
            self._next_scrape = None
            for read in self._before_scrape:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(READ_TIMEOUT):
                        await read()
            began = time.monotonic()
            text = generate_latest(self.registry)
            ended = time.monotonic()
            self._next_scrape_at = ended + (ended - began) * (1 / SCRAPE_SHARE - 1)
            return text


class _Label:
    """Bounds the values of a label, because each is kept in memory, here and at the monitoring system."""

    def __init__(self) -> None:
        self._values: set[str] = set()

    def value(self, wanted: str) -> str:
        """Return the value, or "other" if `MAX_LABELS` different ones were seen before it."""
        if len(self._values) < MAX_LABELS:
            self._values.add(wanted)
        return self.known(wanted)

    def known(self, wanted: str) -> str:
        """Return the value if `value` has returned it before, otherwise "other"."""
        return wanted if wanted in self._values else "other"


class MethodMetrics:
    """Counts the calls of one method in plain numbers, which become metrics at a scrape. For the event loop only.

    The counters of prometheus_client take a lock for each step, which costs a twentieth of a short call.
    """

    __slots__ = ("codes", "open", "seconds", "within")

    def __init__(self) -> None:
        self.open = 0
        self.codes: dict[str, int] = {}
        self.seconds = 0.0
        self.within = [0] * (len(DURATION_BUCKETS) + 1)
        """Calls by the smallest bound that is not exceeded; the last element counts calls above all bounds."""

    def begin(self) -> float:
        """Record the start of a call; pass the result to `end`."""
        self.open += 1
        return time.perf_counter()

    def end(self, began: float, code: str) -> None:
        """Record the end of a call with a status code; `began` is the result of `begin`."""
        self.open -= 1
        self.record(time.perf_counter() - began, code)

    def record(self, took: float, code: str) -> None:
        """Record a call that took so many seconds."""
        self.seconds += took
        self.within[bisect_left(DURATION_BUCKETS, took)] += 1
        self.codes[code] = self.codes.get(code, 0) + 1

    def buckets(self) -> list[tuple[str, float]]:
        """Return the cumulative counts by bound, for a histogram."""
        return list(zip(BUCKET_LABELS, accumulate(self.within), strict=True))


class UpstreamMetrics(Collector):
    """Counts calls to Higgsfield by operation and outcome, and how long they took. For the event loop only."""

    def __init__(self) -> None:
        self._operations: defaultdict[str, MethodMetrics] = defaultdict(MethodMetrics)

    def record(self, operation: str, outcome: str, seconds: float) -> None:
        """Record a call: `outcome` is that of the log line."""
        self._operations[operation].record(seconds, outcome)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of a scrape."""
        ended = CounterMetricFamily("hfgateway_upstream_calls", "Calls to Higgsfield", labels=["operation", "outcome"])
        seconds = HistogramMetricFamily(
            "hfgateway_upstream_seconds", "How long calls to Higgsfield took", labels=["operation"]
        )
        for operation, metrics in self._operations.items():
            for outcome, count in metrics.codes.items():
                ended.add_metric([operation, outcome], count)
            seconds.add_metric([operation], metrics.buckets(), metrics.seconds)
        yield from (ended, seconds)


class _Counts(Collector):
    """Exposes counters that other parts keep."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, Callable[[], float]]] = []

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of a scrape."""
        for name, help_text, read in self.rows:
            yield CounterMetricFamily(name, help_text, value=read())


class _Gauges(Collector):
    """Exposes the values of a gauge with one label."""

    def __init__(self, name: str, help_text: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        self._name, self._help_text, self._label, self._read = name, help_text, label, read

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of a scrape."""
        metric = GaugeMetricFamily(self._name, self._help_text, labels=[self._label])
        for value, number in self._read().items():
            metric.add_metric([value], number)
        yield metric


class _Calls(Collector):
    """Exposes the `MethodMetrics` of all methods."""

    def __init__(self) -> None:
        self.methods: defaultdict[str, MethodMetrics] = defaultdict(MethodMetrics)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of a scrape."""
        ended = CounterMetricFamily("hfgateway_rpc", "Calls that ended", labels=["method", "code"])
        seconds = HistogramMetricFamily("hfgateway_rpc_seconds", "How long calls took", labels=["method"])
        running = GaugeMetricFamily("hfgateway_rpc_open", "Calls under way", labels=["method"])
        for method, metrics in self.methods.items():
            for code, count in metrics.codes.items():
                ended.add_metric([method, code], count)
            seconds.add_metric([method], metrics.buckets(), metrics.seconds)
            running.add_metric([method], metrics.open)
        yield from (ended, seconds, running)


def redacted(text: str) -> str:
    """Remove from a text what looks like a secret, and the query strings of URLs."""
    if not _MAY_HAVE_SECRETS.search(text):
        return text
    return _QUERIES.sub(r"\1?[removed]", _SECRETS.sub("[removed]", text))


class _LineFormatter(logging.Formatter):
    """Formats a record as a JSON object, or as text for a console."""

    def __init__(self, form: str, worker: int | None) -> None:
        super().__init__()
        self.form = form
        self._worker = {} if worker is None else {"worker": worker}
        self._now, self._text = -1, ""

    def format(self, record: logging.LogRecord) -> str:
        extra = {name: value for name, value in record.__dict__.items() if name not in _STANDARD_FIELDS}
        extra.update(self._worker)
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        if self.form == "console":
            clock = time.strftime("%H:%M:%S", time.localtime(record.created))
            fields = "".join(f" {name}={value}" for name, value in extra.items())
            return redacted(f"{clock} {record.levelname.lower():8} {message}{fields}")
        content: dict[str, Any] = {
            "time": f"{self._second(int(record.created))}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redacted(message),
        }
        for name, value in extra.items():
            content[name] = value if isinstance(value, (int, float)) else redacted(str(value))
        return json.dumps(content, ensure_ascii=True)

    def _second(self, now: int) -> str:
        """Return a time of whole seconds as text. The text is kept, because a second may have thousands of lines."""
        if now != self._now:
            self._now, self._text = now, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        return self._text


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes lines to stderr. If its reader has stalled, lines are dropped instead of waited for.

    They are written in the event loop, so one that blocks would stop the gateway. The next line has the number of the
    dropped ones in its field `dropped`.
    """

    critical = 0
    """The lines of the level critical since the start of the process, with the dropped ones."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self._dropped = 0
        self._stalled = self._cut_off = False
        self._poll = select.poll()
        self._poll.register(sys.stderr, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line in parts that a writable pipe has room for. A line of which a part was dropped ends there."""
        if record.levelno >= logging.CRITICAL:
            _Stderr.critical += 1
        if not self._wait_writable(record.levelno):
            self._dropped += 1
            return
        if self._dropped:
            record.dropped, self._dropped = self._dropped, 0
        try:
            line = (self.format(record) + self.terminator).encode(errors="backslashreplace")
            if self._cut_off:
                line, self._cut_off = b"\n" + line, False
            for start in range(0, len(line), select.PIPE_BUF):
                if start and not self._wait_writable(record.levelno):
                    self._dropped += 1
                    self._cut_off = True
                    return
                os.write(self.stream.fileno(), line[start : start + select.PIPE_BUF])
        except Exception:
            self.handleError(record)

    def _wait_writable(self, level: int) -> bool:
        """Return whether PIPE_BUF bytes can be written. A warning waits a moment for a slow reader, but only once."""
        timeout = WRITE_TIMEOUT if level >= logging.WARNING and not self._stalled else 0.0
        self._stalled = not self._poll.poll(1000.0 * timeout)
        return not self._stalled


def announce(logger: logging.Logger, message: str, **fields: str) -> None:
    """Print a message to stdout: as it is, or with the fields in the format of the logs if that is JSON."""
    record = logger.makeRecord(logger.name, logging.INFO, "", 0, message, (), None, extra=fields)
    handlers = logging.getLogger().handlers
    formatter = handlers[0].formatter if handlers else None
    as_json = isinstance(formatter, _LineFormatter) and formatter.form == "json"
    try:
        line = formatter.format(record) if formatter and as_json else message
        # One write: with PYTHONUNBUFFERED, print would write the end of the line after that of another worker.
        print(f"{line}\n", end="", flush=True)
    except OSError as error:  # its reader has left, or a disk is full, which is no reason to end a gateway
        logger.warning("a line cannot be written to standard output", extra={"line": message, "error": str(error)})


def set_up_logging(form: str, level: str, worker: int | None = None) -> None:
    """Send all logs to stderr, each line with the number of the worker if there is one.

    `form` is "console", "json", or "" for console if stderr is a terminal, else json.
    """
    # Nothing shows the thread, process or task of a record, which would be looked up for each one.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # the same for its file and line: the documented way
    setattr(logging, "logAsyncioTasks", False)  # noqa: B010 - since Python 3.12
    logging.captureWarnings(True)
    handler = _Stderr()
    handler.setFormatter(_LineFormatter(form or ("console" if sys.stderr.isatty() else "json"), worker))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Only the gateway's own lines are free of inputs and secrets: at debug, libraries log what they send.
    root.setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))
    logging.getLogger("gateway").setLevel(level.upper())
    logging.getLogger("grpc._cython.cygrpc").addFilter(_is_no_disconnect)
    rate_limit = LogRateLimit()
    for name in RATE_LIMITED:
        logging.getLogger(name).addFilter(rate_limit)


class LogRateLimit(logging.Filter):
    """Passes at most `MAX_LINES` lines with the same message in `LINES_PERIOD` seconds, and drops the others.

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
        if now - period.since >= LINES_PERIOD:
            if period.dropped:
                record.dropped = period.dropped
            period.since, period.written, period.dropped = now, 0, 0
        if period.written >= MAX_LINES:
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
