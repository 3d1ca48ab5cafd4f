"""What commands about generations have in common: how one is followed, and what is said beside it and at its end."""

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
    """Add what both commands can be told about following: `save`, `timeout`, `as_json`."""
    folder = click.Path(file_okay=False, path_type=Path)
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print every change as a line of JSON, and nothing else."),
        click.option(
            "--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Follow it no longer than this."
        ),
        click.option("--save", type=folder, metavar="DIR", help="Save the outputs to this folder, as <id>-<n>.<ext>."),
    ):
        command = option(command)
    return command


def follow(client: Client, generation: Generation, show: Show, timeout: float | None) -> Generation:
    """Show every change until it is done, or until the timeout: then it is returned as it was seen last."""
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
        echo(f"still running after {timeout:g} s; {how_to_go_on(generation.id)}", err=True)
    return generation


def conclude(generation: Generation, *, connection: Connection, save: Path | None, as_json: bool) -> int:
    """Say the result: links, or the files they were saved to, on standard output; returns the exit code."""
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


def how_to_go_on(generation_id: str) -> str:
    """For whoever leaves early: nothing is lost, nothing is canceled."""
    return f"the generation goes on. Watch it: hfgateway watch {generation_id}"


def warn(warning: str) -> None:
    """Say what the gateway doubts about an input: Higgsfield decides."""
    echo(f"warning: {warning}", err=True)
