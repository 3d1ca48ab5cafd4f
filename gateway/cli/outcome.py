"""Follows a generation and prints its outcome, for `generate` and `watch`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli import exit_codes
from gateway.cli.advice import Advice, key_advice
from gateway.cli.output import echo, echo_error, json_option
from gateway.cli.progress import timeout_option
from gateway.cli.save import save_outputs

if TYPE_CHECKING:
    from gateway.cli.connection import Connection
    from gateway.cli.progress import Show
    from hfgateway.v1.error_pb2 import FieldViolation
    from hfgateway_client import Client, Generation


def follow_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options `save`, `timeout` and `as_json`."""
    folder = click.Path(file_okay=False, path_type=Path)
    for option in (
        json_option,
        timeout_option,
        click.option("--save", type=folder, metavar="DIR", help="Save the outputs to this folder, as <id>-<n>.<ext>."),
    ):
        command = option(command)
    return command


def follow(
    client: Client,
    generation: Generation,
    show: Show,
    timeout: float | None,
    *,
    connection: Connection,
    advice: Advice,
    key: str = "",
) -> Generation:
    """Show every change until the generation ends or the timeout expires. Returns its last known state.

    `advice` gets how to continue after each change. `key` is the idempotency key, if the generation does not have it.
    """
    from hfgateway_client.errors import DeadlineExceeded

    def seen(generation: Generation) -> None:
        advise(advice, generation, connection, key)
        show(generation)

    seen(generation)
    if generation.done:
        return generation
    # A new forecast belongs to a revision that was yielded, so a picture begins with the present one.
    revision = max(generation.revision - 1, 0) if show.forecast_interval else generation.revision
    try:
        for change in client.watch(generation.id, revision, forecast_interval=show.forecast_interval, timeout=timeout):
            generation = change
            seen(generation)
    except DeadlineExceeded:
        if timeout is None:
            raise
        code = exit_codes.of_generation(generation)
        if code == exit_codes.UNRESOLVED:
            text = f"After {timeout:g} s it is still unknown whether Higgsfield accepted it (exit code {code})."
        else:
            text = f"Still running after {timeout:g} s (exit code {code})."
        echo(text, err=True)
        advice.show()
    return generation


def conclude(generation: Generation, *, connection: Connection, save: Path | None, as_json: bool) -> int:
    """Print the URLs, or with `save` the files, to standard output. Returns the exit code.

    The URL of an output that cannot be saved is printed in place of its file.
    """
    from hfgateway_client import GenerationState, error_from_generation

    completed = generation.state == GenerationState.GENERATION_STATE_COMPLETED
    if generation.done and not completed:
        echo_error(error_from_generation(generation))
    urls = [output.url for output in generation.outputs if output.url]
    if completed and not urls:
        echo(
            f"There are no outputs. See what Higgsfield returned: {connection.command('get', generation.id)}", err=True
        )
    paths = [None] * len(urls) if save is None else save_outputs(generation, save, local=connection.local)
    if save is not None and None in paths:
        echo(f"Try again with: {connection.command('watch', generation.id, '--save', str(save))}", err=True)
    for url, path in zip(urls, paths, strict=True):
        if not as_json:
            echo(url if path is None else str(path))
        elif path is not None:
            echo(str(path), err=True)
    return (
        exit_codes.NOT_SAVED
        if save is not None and completed and None in paths
        else exit_codes.of_generation(generation)
    )


def advise(advice: Advice, generation: Generation, connection: Connection, key: str) -> None:
    """Set the advice for a generation in this state."""
    state = "has ended. Show" if generation.done else "continues. Watch"
    line = f"The generation {state} it with: {connection.command('watch', generation.id)}"
    code = exit_codes.of_generation(generation) if generation.done else exit_codes.COMPLETED
    advice.replace(*key_advice(generation.idempotency_key or key), line, continues=not generation.done, code=code)


def warn(warnings: Iterable[FieldViolation]) -> None:
    for warning in warnings:
        echo(f"warning: {warning.field}: {warning.description}", err=True)
