"""Formats a generation as lines, and lists of generations and other messages as tables."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from gateway.cli.output import echo, echo_cells, plain, print_json, time_text
from gateway.cli.progress import forecast_of

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from hfgateway_client import Generation, SoulCharacter


def describe(generation: Generation) -> Iterator[tuple[str, str]]:
    """Yield the fields of a generation as names and values, empty if they are not known."""
    from hfgateway_client import state_name

    yield from (
        ("id", generation.id),
        ("state", state_name(generation)),
        ("model", generation.model_id),
        ("prompt", prompt_of(generation)),
        ("created", created(generation)),
        ("key", generation.idempotency_key),
        ("request", generation.upstream.request_id),
        ("labels", _labels(generation)),
        ("cost", f"{generation.estimated_cost.credits} credits" if generation.estimated_cost.credits else ""),
        ("settled", f"{generation.settled_cost.credits} credits" if generation.settled_cost.credits else ""),
        ("forecast", forecast_of(generation)),
        ("waits for", generation.delay.message),
        ("failure", generation.failure.message),
    )
    for output in generation.outputs:
        yield "output", output.url
        yield "archived", output.archived.url
        yield "preview", output.archived_preview.url


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Print a line for each field that has a value."""
    for name, value in fields:
        if value:
            echo(f"{name:<9} {value}")


def print_generations(generations: Sequence[Generation]) -> None:
    """Print a table of generations.

    On a terminal each one has two lines, so that its id, state and time are whole at 80 columns, and a prompt has room.
    Otherwise the columns are those of `_row`, separated by tabs.
    """
    if not sys.stdout.isatty():
        for generation in generations:
            echo_cells(_row(generation))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for generation in generations:
        name, state, model_id, time, outputs, labels, prompt, cost = map(plain, _row(generation))
        console.print(Text(f"{name}  {state:<11}  {time}  {outputs}"), no_wrap=True, overflow="ellipsis")
        details = "  ".join(part for part in (model_id, prompt, labels, cost) if part)
        console.print(Text(f"  {details}", "dim"), no_wrap=True, overflow="ellipsis")


def prompt_of(generation: Generation) -> str:
    """Return the prompt of a generation's input; empty if it has none or was not requested."""
    kind = generation.input.WhichOneof("kind")
    if kind is None:
        return ""
    given = getattr(generation.input, kind)
    if kind == "model":
        value = given.parameters.fields.get("prompt")
        return "" if value is None else str(value.string_value)
    return str(getattr(given, "prompt", ""))


def print_rows(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on a terminal, otherwise columns separated by tabs, for `cut` and `awk`."""
    if not sys.stdout.isatty():
        for row in rows:
            echo_cells(row)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, no_wrap=heading == "ID")
    for row in rows:
        table.add_row(*[Text(plain(cell)) for cell in row])
    Console().print(table)


def print_messages(
    messages: Sequence[Message], headings: Sequence[str], rows: Sequence[Sequence[str]], *, as_json: bool
) -> None:
    """Print a list of messages: each as a line of JSON, or as its row of a table."""
    if as_json:
        print_json(*messages)
    else:
        print_rows(headings, rows)


def _row(generation: Generation) -> tuple[str, ...]:
    """Return the columns of `hfgateway list`. Add new ones at the end, because scripts cut them by number."""
    from hfgateway_client import state_name

    finished = sum(1 for output in generation.outputs if output.url)
    return (
        generation.id,
        state_name(generation),
        generation.model_id,
        created(generation),
        f"{finished}/{len(generation.outputs)}" if generation.outputs else "",
        _labels(generation),
        prompt_of(generation),
        _cost(generation),
    )


def _cost(generation: Generation) -> str:
    """Return what budgets count, in credits: what was settled, or else what is reserved."""
    cost = generation.settled_cost if generation.HasField("settled_cost") else generation.estimated_cost
    return f"{cost.credits} credits" if cost.credits else ""


def created(thing: Generation | SoulCharacter) -> str:
    """Return the creation time; empty if it is not known."""
    return time_text(thing.create_time.seconds) if thing.HasField("create_time") else ""


def _labels(generation: Generation) -> str:
    return " ".join(f"{key}={value}" for key, value in sorted(generation.labels.items()))
