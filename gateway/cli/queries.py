"""Commands that make one call and print the response: `get`, `list`, `cancel`, `delete`, `estimate`."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.connection import Connection, client_options
from gateway.cli.inputs import filter_options, input_options
from gateway.cli.numbers import Whole
from gateway.cli.outcome import warn
from gateway.cli.output import echo, json_option, print_json
from gateway.cli.tables import describe, print_fields, print_generations
from gateway.cli.upload import upload_first

if TYPE_CHECKING:
    from hfgateway_client import AnyInput, Generation


@click.command()
@click.argument("generation_id", metavar="ID")
@json_option
@client_options
def get(connection: Connection, generation_id: str, as_json: bool) -> None:
    """Show the generation ID."""
    with connection.client() as client:
        _print(client.get(generation_id), as_json)


@click.command()
@click.argument("generation_id", metavar="ID")
@json_option
@client_options
def cancel(connection: Connection, generation_id: str, as_json: bool) -> None:
    """Cancel the generation ID. Refused with exit code 3 if it is too late."""
    with connection.client() as client:
        _print(client.cancel(generation_id), as_json)


@click.command()
@click.argument("generation_ids", nargs=-1, required=True, metavar="ID...")
@client_options
def delete(connection: Connection, generation_ids: tuple[str, ...]) -> None:
    """Delete ended generations, also their inputs and outputs at Higgsfield. They are not refunded.

    It is no error if a generation is already deleted. Exits with 3 if one has not ended; those before it are deleted.
    """
    with connection.client() as client:
        for generation_id in generation_ids:
            if not client.delete(generation_id):
                kept = "deleted in the gateway. Higgsfield keeps any outputs until they expire"
                echo(f"{generation_id}: {kept}", err=True)


@click.command(name="list")
@filter_options
@click.option(
    "--request-id", "request_ids", multiple=True, metavar="ID", help="Only this request at Higgsfield. May be repeated."
)
@click.option("--limit", type=Whole(min=1), default=20, show_default=True, help="Show at most this many.")
@json_option
@client_options
def list_generations(
    *,
    connection: Connection,
    states: tuple[Any, ...],
    labels: dict[str, str],
    model_ids: tuple[str, ...],
    request_ids: tuple[str, ...],
    limit: int,
    as_json: bool,
) -> None:
    """List the generations that match all options, newest first."""
    with connection.client() as client:
        found = client.list(
            states=states,
            labels=labels,
            model_ids=model_ids,
            upstream_request_ids=request_ids,
            page_size=min(limit, 500),
            include_input=True,
        )
        generations = list(islice(found, limit))
    if as_json:
        print_json(*generations)
    else:
        print_generations(generations)


@click.command()
@input_options
@json_option
@client_options
def estimate(connection: Connection, input: AnyInput, as_json: bool) -> None:
    """Estimate the cost of a generation from PROMPT. Charges nothing."""
    from google.protobuf.json_format import MessageToDict

    message = upload_first(connection, input)
    with connection.client() as client:
        response = client.estimate(message)
    warn(response.warnings)
    if as_json:
        print_json(response)
    elif response.HasField("cost"):
        usd = f" ({response.cost.usd} USD)" if response.cost.usd else ""
        off = MessageToDict(response.extra).get("discount")
        percentage = off.get("percentage") if isinstance(off, dict) else None
        discount = f", {percentage} % off the list price" if percentage else ""
        echo(f"{response.cost.credits} credits{usd}{discount}")
    else:
        echo(response.description or "the price depends on what is generated")


def _print(generation: Generation, as_json: bool) -> None:
    if as_json:
        print_json(generation)
    else:
        print_fields(describe(generation))
