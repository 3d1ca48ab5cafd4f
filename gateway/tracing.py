"""The port of traces. A call that is traced has a current span; in any other call, nothing here has an effect."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Protocol


class Span(Protocol):
    """A part of a trace, which `end` completes."""

    @property
    def traceparent(self) -> str:
        """The span in the form of W3C Trace Context."""

    def child(self, name: str) -> "Span":
        """Begin a part of this span."""

    def set(self, name: str, value: str | int) -> None:
        """Set an attribute."""

    def end(self, error: str = "") -> None:
        """End the span; `error` is a low-cardinality name of what failed."""


class StartSpan(Protocol):
    """Begins the span of a call. Takes the RPC system, /SERVICE/METHOD, and the caller's traceparent ("" if none)."""

    def __call__(self, system: str, method: str, traceparent: str) -> Span: ...


current: ContextVar[Span | None] = ContextVar("span", default=None)
"""The span of the call or step that the current task works for. Tasks inherit it."""


def traceparent() -> str:
    """Return the current span in the form of W3C Trace Context, or ""."""
    span = current.get()
    return "" if span is None else span.traceparent


def attribute(name: str, value: str | int) -> None:
    """Set an attribute of the current span, if there is one."""
    span = current.get()
    if span is not None:
        span.set(name, value)


def trace_id(traceparent: str) -> str:
    """Return the trace id of a valid traceparent, or ""."""
    return traceparent[3:35]


def step(name: str) -> AbstractContextManager[None]:
    """Make a part of the current span that is as long as the block. Without a current span, do nothing."""
    parent = current.get()
    return _NO_STEP if parent is None else _step(parent.child(name))


_NO_STEP = nullcontext()


@contextmanager
def _step(span: Span) -> Iterator[None]:
    token = current.set(span)
    error = ""
    try:
        yield
    except BaseException as raised:
        error = type(raised).__name__
        raise
    finally:
        current.reset(token)
        span.end(error)
