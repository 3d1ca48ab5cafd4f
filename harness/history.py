"""What happened, one JSON object on each line: what clients asked and were told, what was done, and the ledger.

Every line has `at` (seconds since the start) and `what`; the other fields depend on `what`:

| `what` | fields | meaning |
|---|---|---|
| `run` | `seed`, `submissions`, `seconds`, `webhooks`, `keyless` | the first line |
| `submit` | `call`, `key`, `prompt` | a client submits under a key; `call` numbers the calls |
| `submitted` | `call`, and a generation | it was answered |
| `submit failed` | `call`, `key`, `code`, `reason`, `message` | it was answered with an error, or not at all |
| `cancel`, `canceled`, `cancel failed` | as above | the same for a cancellation |
| `watch` | `watch`, `way`, `id`, `after` | a watch of one generation begins behind a revision; it outlasts streams |
| `saw` | `watch`, and a generation | a message of it |
| `watch ended` | `watch` | the gateway ended it as complete |
| `watch failed` | `watch`, `code`, `reason`, `message` | it ended otherwise |
| `watch left` | `watch` | the run was over first |
| `overview` | `watch`, `way`, `ids` | a watch of many begins: of these, or of all generations of the run |
| `news` | `watch`, and a generation | a message of it |
| `caught up`, `reset` | `watch` | all that had happened was told; what it told is not to be relied on |
| `missing` | `watch`, `ids` | of its ids, those that do not exist |
| `overview ended`, `overview failed` | as for `watch` | the same for a watch of many |
| `overview left` | `watch`, `complete` | nobody reads on; complete: there was nothing more to come |
| `start` | `failpoint` | a gateway process starts |
| `started`, `ended` | `pid`; `exit` | it answers; it has ended, `exit` as the operating system has it |
| `kill`, `stop` | `pid` | kill -9; SIGTERM |
| `cut` | `connections` | so many connections of clients were cut |
| `fault` | `on`, `kind`, `processed`, for webhooks `prompt` | the sandbox spoiled a call, or is to spoil a delivery |
| `calm` | | from here on nothing is done to the system |
| `final` | a generation | what the gateway says at the end, one line for each |
| `explained` | `id`, `story` | what the gateway tells of one, in benchmarks |
| `charge` | `request`, `prompt`, `credits` | the sandbox's ledger: credits taken |
| `refund` | `request`, `reason` | and given back |
| `request` | `request`, `prompt`, `status` | what became of a request at the sandbox |
| `delivery` | `request`, `outcome` | a webhook that the sandbox sent, and the HTTP status or the error it met |
| `over` | | the last line: nothing is missing |

A generation is `id`, `key` (its own), `revision`, `state`, `done`, `accepted` (it has an accept_time), `request`
(Higgsfield's id) and `outputs` (their URLs).
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
    """A file is no history, or not a whole one."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a history. `number` is that of the line in its file, from 1."""

    number: int
    at: float
    what: str
    fields: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def __str__(self) -> str:
        told = " ".join(f"{name}={value!r}" for name, value in self.fields.items())
        return f"{self.number}: {self.at:.3f} {self.what} {told}"


class Recorder:
    """Writes a history while it happens; `with` closes the file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8")
        self._began = time.monotonic()

    def note(self, what: str, **fields: Any) -> None:
        """Write a line."""
        line = {"at": round(time.monotonic() - self._began, 4), "what": what, **fields}
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def told(generation: Generation) -> dict[str, Any]:
    """A generation as a history keeps it."""
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


def note_ledger(recorder: Recorder, account: Mapping[str, Any]) -> None:
    """Write down the sandbox's account of everything, as its `GET /__ledger` has it."""
    for one in account["charges"]:
        recorder.note("charge", request=one["request_id"], prompt=one["prompt"], credits=one["credits"])
    for one in account["refunds"]:
        recorder.note("refund", request=one["request_id"], reason=one["reason"])
    for one in account["requests"]:
        recorder.note("request", request=one["request_id"], prompt=one["prompt"], status=one["status"])
    for one in account["webhooks"]:
        recorder.note("delivery", request=one["request_id"], outcome=one["outcome"])


def read(path: Path) -> list[Line]:
    """The lines of a file. Raises HistoryError."""
    try:
        return list(_lines(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise HistoryError(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HistoryError(f"{path} is no history: {error}") from error


def parse(text: str) -> list[Line]:
    """The lines of a text."""
    return list(_lines(text))


def _lines(text: str) -> Iterator[Line]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            fields = json.loads(line)
            yield Line(number, fields.pop("at", 0.0), fields.pop("what"), fields)
