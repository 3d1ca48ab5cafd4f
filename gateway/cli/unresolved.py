"""`hfgateway unresolved`: lists and resolves characters and agent messages without a known outcome."""

from __future__ import annotations

from typing import Any

import click

from gateway.cli.operator import Operator, operator_options
from gateway.cli.output import echo, echo_cells, json_option, print_json
from hfgateway.admin.v1 import admin_service_pb2 as pb

_not_taken = click.option(
    "--not-taken", is_flag=True, help="Higgsfield never accepted it. The key is free; using it again is charged."
)


@click.group()
def unresolved() -> None:
    """List and resolve characters and messages to agents without an outcome."""


@unresolved.command(name="list")
@json_option
@operator_options
def list_unresolved(operator: Operator, as_json: bool) -> None:
    """List what has no outcome. A line has kind, tenant, idempotency key, time, and the name or session."""
    response = operator.ask(lambda admin: admin.ListUnresolved, pb.ListUnresolvedRequest())
    if as_json:
        print_json(*response.characters, *response.messages)
        return
    for character in response.characters:
        sent = character.send_time.ToJsonString()
        echo_cells(["character", character.tenant, character.idempotency_key, sent, character.name])
    for message in response.messages:
        sent = message.send_time.ToJsonString()
        echo_cells(["message", message.tenant, message.idempotency_key, sent, message.session_id])


@unresolved.command()
@click.argument("tenant")
@click.argument("key")
@click.option("--as-character", metavar="ID", help="The id of the character that was created.")
@_not_taken
@operator_options
def character(operator: Operator, tenant: str, key: str, as_character: str | None, not_taken: bool) -> None:
    """Set the outcome of a character. TENANT requested it with the idempotency key KEY."""
    request = pb.ResolveCharacterRequest(tenant=tenant, idempotency_key=key)
    _set_outcome(request, "character", as_character, not_taken=not_taken)
    operator.ask(lambda admin: admin.ResolveCharacter, request)
    echo("resolved")


@unresolved.command()
@click.argument("tenant")
@click.argument("key")
@click.option("--as-message", metavar="ID", help="The id of the message that was sent.")
@_not_taken
@operator_options
def message(operator: Operator, tenant: str, key: str, as_message: str | None, not_taken: bool) -> None:
    """Set the outcome of a message to an agent. TENANT sent it with the idempotency key KEY."""
    request = pb.ResolveMessageRequest(tenant=tenant, idempotency_key=key)
    _set_outcome(request, "message", as_message, not_taken=not_taken)
    operator.ask(lambda admin: admin.ResolveMessage, request)
    echo("resolved")


def _set_outcome(request: Any, kind: str, found: str | None, *, not_taken: bool) -> None:
    if (found is None) is not not_taken:
        raise click.UsageError(f"say one of --as-{kind} and --not-taken")
    if found is not None:
        setattr(request, f"{kind}_id", found)
    else:
        request.not_taken.SetInParent()
