"""`hfgateway unresolved`: lists and resolves characters and agent messages without a known outcome."""

from __future__ import annotations

import sys

import click

from gateway.cli import exits
from gateway.cli.progress import print_json


@click.group()
def unresolved() -> None:
    """List and resolve characters and messages to agents without an outcome, in the gateway of HFGATEWAY_STORE_URL."""


@unresolved.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print only lines of JSON.")
def list_unresolved(as_json: bool) -> int:
    """Print a line per entry: kind, tenant, idempotency key, time, and the name or session."""
    from gateway.cli.operator import PATIENCE, ask
    from hfgateway.admin.v1 import admin_service_pb2 as pb

    answer = ask(_gateway(), lambda admin: admin.ListUnresolved(pb.ListUnresolvedRequest(), timeout=PATIENCE))
    if as_json:
        for entry in (*answer.characters, *answer.messages):
            print_json(entry)
        return 0
    for one in answer.characters:
        print("character", one.tenant, one.idempotency_key, one.send_time.ToJsonString(), one.name, sep="\t")
    for message in answer.messages:
        sent = message.send_time.ToJsonString()
        print("message", message.tenant, message.idempotency_key, sent, message.session_id, sep="\t")
    return 0


@unresolved.command()
@click.argument("tenant")
@click.argument("key")
@click.option("--as-character", metavar="ID", help="The id of the character that was created.")
@click.option("--not-taken", is_flag=True, help="Higgsfield never took it: a call with the key is charged anew.")
def character(tenant: str, key: str, as_character: str | None, not_taken: bool) -> int:
    """Set the outcome of the character that TENANT requested with KEY."""
    from gateway.cli.operator import PATIENCE, ask
    from hfgateway.admin.v1 import admin_service_pb2 as pb

    request = pb.ResolveCharacterRequest(tenant=tenant, idempotency_key=key)
    if (as_character is None) is not not_taken:
        raise click.UsageError("say one of --as-character and --not-taken")
    if as_character is not None:
        request.character_id = as_character
    else:
        request.not_taken.SetInParent()
    ask(_gateway(), lambda admin: admin.ResolveCharacter(request, timeout=PATIENCE))
    print("resolved")
    return 0


@unresolved.command()
@click.argument("tenant")
@click.argument("key")
@click.option("--as-message", metavar="ID", help="The id of the message that was sent.")
@click.option("--not-taken", is_flag=True, help="Higgsfield never took it: a call with the key is charged anew.")
def message(tenant: str, key: str, as_message: str | None, not_taken: bool) -> int:
    """Set the outcome of the message to an agent that TENANT sent with KEY."""
    from gateway.cli.operator import PATIENCE, ask
    from hfgateway.admin.v1 import admin_service_pb2 as pb

    request = pb.ResolveMessageRequest(tenant=tenant, idempotency_key=key)
    if (as_message is None) is not not_taken:
        raise click.UsageError("say one of --as-message and --not-taken")
    if as_message is not None:
        request.message_id = as_message
    else:
        request.not_taken.SetInParent()
    ask(_gateway(), lambda admin: admin.ResolveMessage(request, timeout=PATIENCE))
    print("resolved")
    return 0


def _gateway() -> str:
    """Return the address of the admin socket. If no gateway runs, that is printed and ends the command."""
    from gateway.cli.operator import read_valid_settings, running_gateway

    store = read_valid_settings().store
    address = running_gateway(store)
    if address is None:
        print(f"hfgateway: no gateway runs on {store}", file=sys.stderr)
        raise click.exceptions.Exit(exits.AWAY)
    return address
