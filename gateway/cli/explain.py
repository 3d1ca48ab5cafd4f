"""`hfgateway explain`: the history of a generation, oldest event first."""

from __future__ import annotations

import click

from gateway.cli.connection import Connection, client_options
from gateway.cli.output import echo, json_option, print_json
from hfgateway.v1.generation_pb2 import ChangeSource
from hfgateway.v1.generation_service_pb2 import GenerationEvent


@click.command()
@click.argument("generation_id", metavar="ID")
@json_option
@client_options
def explain(connection: Connection, generation_id: str, as_json: bool) -> None:
    """Show the history of the generation ID: its changes with their causes, and every call to Higgsfield."""
    with connection.client() as client:
        history = client.explain(generation_id)
    for event in history.events:
        if as_json:
            print_json(event)
        else:
            echo(_line(event))


def _line(event: GenerationEvent) -> str:
    """Format an event for a terminal. Changes are marked with their revision."""
    moment = event.time.ToDatetime().isoformat(sep=" ", timespec="milliseconds")
    mark = f"#{event.revision}" if event.revision else ""
    source = ChangeSource.Name(event.source).removeprefix("CHANGE_SOURCE_").lower()
    text = event.description
    if event.HasField("upstream_call"):
        call = event.upstream_call
        text += f" in {call.duration.ToNanoseconds() / 1e9:.3f} s"
        if call.times > 1:
            text += f", {call.times} times"
        if call.correlation_id:
            text += f" ({call.correlation_id})"
    return f"{moment}  {mark:4} {source:8} {text}"
