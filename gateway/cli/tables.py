"""Formats a generation as lines, and lists of generations and other messages as tables."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gateway.cli.output import echo_cells, plain

if TYPE_CHECKING:
    from hfgateway_client import Generation, SoulCharacter

HEADINGS = ("ID", "STATE", "MODEL", "CREATED", "OUTPUTS", "LABELS")


def describe(generation: Generation) -> Iterator[tuple[str, str]]:
    """Return the known fields of a generation as names and values."""
    from hfgateway_client import state_name

    lines = [
        ("id", generation.id),
        ("state", state_name(generation)),
        ("model", generation.model_id),
        ("created", created(generation)),
        ("key", generation.idempotency_key),
        ("labels", _labels(generation)),
        ("cost", f"{generation.estimated_cost.credits} credits" if generation.estimated_cost.credits else ""),
        ("waits for", generation.delay.message),
        ("failure", generation.failure.message),
        *[
            line
            for output in generation.outputs
            for line in (
                ("output", output.url),
                ("archived", output.archived.url),
                ("preview", output.archived_preview.url),
            )
        ],
    ]
    return ((name, value) for name, value in lines if value)


def print_table(generations: Sequence[Generation]) -> None:
    print_rows(HEADINGS, [_row(generation) for generation in generations])


def print_rows(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on a terminal, otherwise columns separated by tabs, for `cut` and `awk`."""
    if not sys.stdout.isatty():
        for row in rows:
            echo_cells(list(row))
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


def _row(generation: Generation) -> tuple[str, ...]:
    from hfgateway_client import state_name

    finished = sum(1 for output in generation.outputs if output.url)
    return (
        generation.id,
        state_name(generation),
        generation.model_id,
        created(generation),
        f"{finished}/{len(generation.outputs)}" if generation.outputs else "",
        _labels(generation),
    )


def created(thing: Generation | SoulCharacter) -> str:
    """Return the creation time; empty if it is not known."""
    if not thing.HasField("create_time"):
        return ""
    return thing.create_time.ToDatetime().strftime("%Y-%m-%d %H:%M:%SZ")


def _labels(generation: Generation) -> str:
    return " ".join(f"{key}={value}" for key, value in sorted(generation.labels.items()))
