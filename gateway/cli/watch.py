"""`hfgateway watch`: follows a generation that was submitted before."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.advice import Advice
from gateway.cli.connection import Connection, client_options
from gateway.cli.outcome import conclude, follow, follow_options
from gateway.cli.save import check_folder


@click.command()
@click.argument("generation_id", metavar="ID")
@follow_options
@client_options
def watch(
    *, connection: Connection, generation_id: str, save: Path | None, timeout: float | None, as_json: bool
) -> int:
    """Follow the generation ID until it ends, and print the URLs of its outputs.

    The exit codes are those of `generate`.
    """
    from gateway.cli.progress import showing

    check_folder(save)
    advice = Advice()
    with advice.given():
        with connection.client() as client, showing(as_json=as_json) as show:
            # A get fails at once if no gateway answers; a watch would wait for it.
            found = client.get(generation_id)
            generation = follow(client, found, show, timeout, connection=connection, advice=advice)
        return conclude(generation, connection=connection, save=save, as_json=as_json)
