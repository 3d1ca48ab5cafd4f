"""Logs and metrics. Log lines hold ids, never inputs, credentials or URLs' queries."""

import json
import logging
import re
import sys
import time
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message"}
_SECRETS = re.compile(r"(?i)\b(key|bearer|basic)\s+[^\s\"']{6,}|hfg_[\w-]{8,}|hfw_[\w-]{8,}|whsec_[\w+/=-]+")
_QUERIES = re.compile(r"(https?://[^\s?\"']*)\?[^\s\"']*")


class Telemetry:
    """The metrics of one gateway, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._calls = Counter("hfgateway_rpc_total", "Calls that ended", ["method", "code"], registry=self.registry)
        self._seconds = Histogram(
            "hfgateway_rpc_seconds", "How long calls took", ["method"], registry=self.registry,
            buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 3600),
        )  # fmt: skip
        self._refused = Counter(
            "hfgateway_rpc_refused_total", "Calls refused for overload, unread", ["method"], registry=self.registry
        )
        self._open = Gauge("hfgateway_rpc_open", "Calls under way", ["method"], registry=self.registry)
        self._ended = Counter(
            "hfgateway_generations_ended_total", "Generations that ended", ["state"], registry=self.registry
        )

    def calls(self, method: str) -> "MethodMetrics":
        """The metrics of one method."""
        return MethodMetrics(method, self._calls, self._seconds, self._open)

    def refusals(self, method: str) -> Callable[[], None]:
        """Counts a call of the method that was refused before it was read: it is not among its `calls`."""
        return self._refused.labels(method).inc

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
    """Counts the calls of one method; what is used for each call is looked up once."""

    def __init__(self, method: str, calls: Counter, seconds: Histogram, running: Gauge) -> None:
        self._method = method
        self._calls = calls
        self._seconds = seconds.labels(method)
        self._open = running.labels(method)
        self._by_code: dict[str, Counter] = {}

    def begin(self) -> float:
        """A call begins; `end` is told what this returned."""
        self._open.inc()
        return time.perf_counter()

    def end(self, began: float, code: str) -> None:
        """It ended with this code."""
        self._open.dec()
        self._seconds.observe(time.perf_counter() - began)
        counter = self._by_code.get(code)
        if counter is None:
            counter = self._by_code[code] = self._calls.labels(self._method, code)
        counter.inc()


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
    for noisy in ("uvicorn.error", "httpx", "httpcore", "asyncio", "grpc._cython.cygrpc"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def _not_about_leavers(record: logging.LogRecord) -> bool:
    """grpc tells with a traceback of every stream whose client has left while a write was pending; that is no error."""
    return "ExecuteBatchError" not in record.getMessage()
