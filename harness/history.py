"""Histories: JSON Lines files of what clients requested and received, what was done to the system, and the ledger.

Every line has `at` (seconds since the start) and `what`. The other fields depend on `what`:

| `what` | fields | meaning |
|---|---|---|
| `run` | `seed`, `submissions`, `seconds`, `webhooks`, `keyless` | the first line |
| `submit` | `call`, `key`, `prompt` | a client submits with an idempotency key; `call` is the number of the call |
| `submitted` | `call`, and a generation | the response |
| `submit failed` | `call`, `key`, `code`, `reason`, `message` | the call failed |
| `cancel`, `canceled`, `cancel failed` | like `submit` | a cancellation |
| `watch` | `watch`, `way`, `id`, `after` | a watch of one generation starts after a revision; it outlasts streams |
| `saw` | `watch`, and a generation | a message of the watch |
| `watch ended` | `watch` | the gateway completed the watch |
| `watch failed` | `watch`, `code`, `reason`, `message` | the watch failed |
| `watch left` | `watch` | the run ended before the watch |
| `overview` | `watch`, `way`, `ids` | a watch of many starts: of these ids, or of all generations of the run |
| `news` | `watch`, and a generation | a message of the watch of many |
| `caught up` | `watch` | the watch of many has sent all changes so far |
| `reset` | `watch` | the watch of many starts again from the beginning |
| `missing` | `watch`, `ids` | the ids of the watch of many that do not exist |
| `overview ended`, `overview failed` | like those of `watch` | the end of a watch of many |
| `overview left` | `watch`, `complete` | the client left; complete: it had received everything |
| `start` | `failpoint` | a gateway process starts |
| `started` | `pid` | the gateway process answers |
| `ended` | `exit` | the gateway process has ended, with this exit code |
| `kill`, `stop` | `pid` | SIGKILL; SIGTERM |
| `cut` | `connections` | this number of client connections was cut |
| `fault` | `on`, `kind`, `processed`, for webhooks `prompt` | the sandbox applies a fault, or plans one for a webhook |
| `calm` | | from here on no more faults, kills or cuts |
| `final` | a generation | the gateway's final state of a generation |
| `explained` | `id`, `story` | the gateway's explanation of a generation; only in benchmarks |
| `charge` | `request`, `prompt`, `credits` | a charge in the sandbox's ledger |
| `refund` | `request`, `reason` | a refund in the ledger |
| `request` | `request`, `prompt`, `status` | the final status of a request at the sandbox |
| `delivery` | `request`, `outcome` | an attempt to deliver a webhook, and the HTTP status or the error |
| `over` | | the last line of a complete history |

A generation is `id`, `key`, `revision`, `state`, `done`, `accepted` (it has an accept_time), `request` (Higgsfield's
id) and `outputs` (their URLs).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hfgateway.v1.generation_pb2 import Generation
from hfgateway_client import state_name


class HistoryError(ValueError):
    """A file is not a valid history."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a history. `number` is its line number in the file, from 1; `at` is in seconds."""

    number: int
    at: float
    what: str
    fields: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def __str__(self) -> str:
        fields = " ".join(f"{name}={value!r}" for name, value in self.fields.items())
        return f"{self.number}: {self.at:.3f} {self.what} {fields}"


class Recorder:
    """Writes a history. A context manager that closes the file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8")
        self._began = time.monotonic()

    def record(self, what: str, **fields: Any) -> None:
        """Write one line with the current time."""
        line = {"at": round(time.monotonic() - self._began, 4), "what": what, **fields}
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def generation_fields(generation: Generation) -> dict[str, Any]:
    """Return the fields of a generation in a history."""
    return {
        "id": generation.id,
        "key": generation.idempotency_key,
        "revision": generation.revision,
        "state": state_name(generation),
        "done": generation.done,
        "accepted": generation.HasField("accept_time"),
        "request": generation.upstream.request_id,
        "outputs": [output.url for output in generation.outputs],
    }


def record_ledger(recorder: Recorder, account: Mapping[str, Any]) -> None:
    """Record the sandbox's ledger, as `GET /__ledger` returns it."""
    for one in account["charges"]:
        recorder.record("charge", request=one["request_id"], prompt=one["prompt"], credits=one["credits"])
    for one in account["refunds"]:
        recorder.record("refund", request=one["request_id"], reason=one["reason"])
    for one in account["requests"]:
        recorder.record("request", request=one["request_id"], prompt=one["prompt"], status=one["status"])
    for one in account["webhooks"]:
        recorder.record("delivery", request=one["request_id"], outcome=one["outcome"])


def read(path: Path) -> list[Line]:
    """Return the lines of a file; raises HistoryError."""
    try:
        return list(_lines(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise HistoryError(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HistoryError(f"{path} is not a history: {error}") from error


def parse(text: str) -> list[Line]:
    """Return the lines of a text."""
    return list(_lines(text))


def _lines(text: str) -> Iterator[Line]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            fields = json.loads(line)
            yield Line(number, fields.pop("at", 0.0), fields.pop("what"), fields)
