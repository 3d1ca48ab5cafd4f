"""Follows a generation and prints its outcome, for `generate` and `watch`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli import exits
from gateway.cli.output import echo
from gateway.cli.save import save_outputs

if TYPE_CHECKING:
    from gateway.cli.connection import Connection
    from gateway.cli.progress import Show
    from hfgateway_client import Client, Generation


def follow_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options `save`, `timeout` and `as_json`."""
    folder = click.Path(file_okay=False, path_type=Path)
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print only JSON, a line for each change."),
        click.option(
            "--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Stop following after this time."
        ),
        click.option("--save", type=folder, metavar="DIR", help="Save the outputs to this folder, as <id>-<n>.<ext>."),
    ):
        command = option(command)
    return command


def follow(client: Client, generation: Generation, show: Show, timeout: float | None) -> Generation:
    """Show every change until the generation ends or the timeout expires. Returns its last known state."""
    from hfgateway_client.errors import DeadlineExceeded

    show(generation)
    if generation.done:
        return generation
    try:
        for change in client.watch(generation.id, generation.revision, timeout=timeout):
            generation = change
            show(generation)
    except DeadlineExceeded:
        if timeout is None:
            raise
        echo(f"Still running after {timeout:g} s. {watch_advice(generation.id)}", err=True)
    return generation


def conclude(generation: Generation, *, connection: Connection, save: Path | None, as_json: bool) -> int:
    """Print the links, or with `save` the files, to standard output. Returns the exit code."""
    from hfgateway_client import GenerationState, error_from_generation

    if generation.done and generation.state != GenerationState.GENERATION_STATE_COMPLETED:
        echo(f"error: {error_from_generation(generation)}", err=True)
    results = [output.url for output in generation.outputs if output.url]
    if save is not None:
        results = [str(path) for path in save_outputs(generation, save, local=connection.local)]
    for result in results:
        if not as_json:
            echo(result)
        elif save is not None:
            echo(result, err=True)
    return exits.of_generation(generation)


def watch_advice(generation_id: str) -> str:
    """Return how to continue if the command ends before the generation."""
    return f"The generation continues. Watch it with: hfgateway watch {generation_id}"


def warn(warning: str) -> None:
    echo(f"warning: {warning}", err=True)
