"""`hfgateway watch`: follow what was submitted before."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli import exits
from gateway.cli.connection import Connection, client_options
from gateway.cli.outcome import conclude, follow, follow_options, how_to_go_on
from gateway.cli.output import echo


@click.command()
@click.argument("generation_id", metavar="ID")
@follow_options
@client_options
def watch(
    *, connection: Connection, generation_id: str, save: Path | None, timeout: float | None, as_json: bool
) -> int:
    """Follow the generation ID to its end, and print the links to its outputs; exit codes as of `generate`."""
    from gateway.cli.progress import showing

    try:
        with connection.client() as client, showing(as_json=as_json) as show:
            # Asked first: a gateway that is away is said at once, where a watch would wait for its return.
            generation = follow(client, client.get(generation_id), show, timeout)
    except KeyboardInterrupt:
        echo(err=True)
        echo(f"{how_to_go_on(generation_id)}", err=True)
        raise click.exceptions.Exit(exits.INTERRUPTED) from None
    return conclude(generation, connection=connection, save=save, as_json=as_json)
