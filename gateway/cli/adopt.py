"""The command `adopt`: brings requests that were made without the gateway under it, a few or a file of them."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from typing import IO, TYPE_CHECKING, Any

import click

from gateway.cli import exit_codes
from gateway.cli.connection import Connection, client_options
from gateway.cli.inputs import label_option
from gateway.cli.output import echo, echo_cells, json_option

if TYPE_CHECKING:
    from hfgateway_client import Client, GatewayError

RETRY_TIMEOUT = 30.0
"""Seconds for which one adoption is repeated, because Higgsfield may limit status calls."""


@dataclass(frozen=True)
class Entry:
    """A request to adopt. `problem` says why it cannot be read from its line."""

    request_id: str
    api_version: Any = "v2"
    labels: dict[str, str] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True)
class Result:
    """The outcome of an entry. `fatal_error` is the error that concerns the others as well."""

    request_id: str
    outcome: str
    generation_id: str = ""
    state: str = ""
    error: str = ""
    fatal_error: GatewayError | None = None


@click.command()
@click.argument("request_ids", nargs=-1, metavar="[ID]...")
@click.option(
    "--file",
    "file",
    type=click.File(encoding="utf-8-sig", errors="replace"),
    metavar="FILE",
    help="Also adopt the requests in this file: an id or a JSON object in each line. - is standard input.",
)
@click.option("--v1", "is_v1", is_flag=True, help="The ids are those of job sets of Higgsfield's v1 API.")
@label_option("A label for all of them. May be repeated.")
@click.option(
    "--concurrency", type=click.IntRange(1, 64), default=8, show_default=True, help="How many to adopt at once."
)
@json_option
@client_options
def adopt(
    *,
    connection: Connection,
    request_ids: tuple[str, ...],
    file: IO[str] | None,
    is_v1: bool,
    labels: dict[str, str],
    concurrency: int,
    as_json: bool,
) -> None:
    """Adopt requests that were made at Higgsfield without the gateway, by their ids there.

    An adopted request is a generation like any other: it is followed, watched and archived. Nothing is submitted or
    charged. Adopting a request again changes nothing, so an interrupted import can simply be repeated.

    A line of JSON has the members request_id, and optionally api_version ("v1" or "v2") and labels. Empty lines, and
    lines that begin with #, are skipped.
    """
    if not request_ids and file is None:
        raise click.UsageError("give at least one ID, or --file")
    defaults = Entry("", "v1" if is_v1 else "v2", labels)
    entries = chain(
        (Entry(request_id, defaults.api_version, labels) for request_id in request_ids), _read(file or (), defaults)
    )
    counts: Counter[str] = Counter()
    stopped: Result | None = None
    with connection.client(RETRY_TIMEOUT) as client:
        for result in _adopt_all(client, entries, concurrency):
            counts[result.outcome] += 1
            stopped = stopped or (result if result.fatal_error else None)
            _print(result, as_json=as_json)
    if counts.total() > 1:
        echo(", ".join(f"{count} {outcome}" for outcome, count in counts.items()), err=True)
    if stopped is not None and stopped.fatal_error is not None:
        echo(f"Stopped at {stopped.request_id}: later requests may not have been tried. Repeat the command.", err=True)
        raise click.exceptions.Exit(exit_codes.of_error(stopped.fatal_error))
    if counts.keys() - {"adopted", "known"}:
        raise click.exceptions.Exit(exit_codes.REFUSED)


def _adopt_all(client: Client, entries: Iterable[Entry], concurrency: int) -> Iterator[Result]:
    """Yield the results in the order of the entries. After an error that concerns all of them, no more are started."""
    running: deque[Future[Result]] = deque()
    stopped = False
    threads = ThreadPoolExecutor(concurrency)
    try:
        for entry in entries:
            running.append(threads.submit(_adopt, client, entry))
            if len(running) >= concurrency:
                result = running.popleft().result()
                stopped = result.fatal_error is not None
                yield result
            if stopped:
                break
        while running:
            yield running.popleft().result()
    finally:
        threads.shutdown(wait=False, cancel_futures=True)  # after Ctrl-C, wait for no call that is under way


def _adopt(client: Client, entry: Entry) -> Result:
    from hfgateway_client import GatewayError, state_name
    from hfgateway_client.errors import InvalidInput, NotFound

    if entry.problem:
        return Result(entry.request_id, "invalid", error=entry.problem)
    try:
        response = client.adopt(entry.request_id, api_version=entry.api_version, labels=entry.labels)
    except NotFound as error:
        return Result(entry.request_id, "not found", error=error.message)
    except InvalidInput as error:
        return Result(entry.request_id, "invalid", error=error.message)
    except GatewayError as error:
        return Result(entry.request_id, "failed", error=str(error), fatal_error=error)
    generation = response.generation
    return Result(entry.request_id, "known" if response.replayed else "adopted", generation.id, state_name(generation))


def _read(lines: Iterable[str], defaults: Entry) -> Iterator[Entry]:
    """Yield the entries in the lines of a file."""
    for line in lines:
        text = line.strip()
        if text.startswith("{"):
            yield _parse_json(text, defaults)
        elif text and not text.startswith("#"):
            yield Entry(text, defaults.api_version, defaults.labels)


def _parse_json(text: str, defaults: Entry) -> Entry:
    try:
        given = json.loads(text)
        json.dumps(given, ensure_ascii=False).encode()  # an escape may stand for half a character
    except (ValueError, RecursionError) as error:
        return Entry(text[:100], problem=f"is not JSON: {error}")
    request_id = given.pop("request_id", None)
    api_version, labels = given.pop("api_version", defaults.api_version), given.pop("labels", {})
    readable = isinstance(request_id, str) and api_version in ("v1", "v2") and isinstance(labels, dict)
    if given or not readable or not all(isinstance(value, str) for value in labels.values()):
        return Entry(
            text[:100], problem='must have "request_id", and may have "api_version" ("v1" or "v2") and "labels"'
        )
    return Entry(request_id, api_version, defaults.labels | labels)


def _print(result: Result, *, as_json: bool) -> None:
    shown = {
        "upstreamRequestId": result.request_id,
        "outcome": result.outcome,
        "generationId": result.generation_id,
        "state": result.state,
        "error": result.error,
    }
    if as_json:
        echo(json.dumps({name: value for name, value in shown.items() if value}))
    else:
        echo_cells([result.request_id, result.outcome, result.generation_id, result.state or result.error])
