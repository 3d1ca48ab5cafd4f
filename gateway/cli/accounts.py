"""`hfgateway accounts`: several Higgsfield accounts, through the running gateway of a store."""

from __future__ import annotations

from typing import IO

import click

from gateway.cli.operator import Operator, operator_options
from gateway.cli.output import echo, echo_cells, json_option, print_json, time_text
from hfgateway.admin.v1 import admin_service_pb2 as pb


@click.group()
def accounts() -> None:
    """Add, rotate and remove Higgsfield accounts, and assign them to tenants."""


_credentials = click.option(
    "--file",
    "credentials",
    type=click.File(encoding="utf-8"),
    default="-",
    help="A file with the credentials, KEY_ID:SECRET. Default: the standard input.",
)


@accounts.command()
@operator_options
@click.argument("name")
@click.option("--tenant", default="", metavar="NAME", help="Only this tenant may use the account.")
@_credentials
def add(operator: Operator, name: str, tenant: str, credentials: IO[str]) -> None:
    """Add the account NAME. Its credentials are stored encrypted and cannot be shown again."""
    request = pb.AddAccountRequest(name=name, tenant=tenant, credentials=_read(credentials))
    _show(operator.ask(lambda admin: admin.AddAccount, request).account)


@accounts.command()
@operator_options
@click.argument("name")
@_credentials
def rotate(operator: Operator, name: str, credentials: IO[str]) -> None:
    """Give the account NAME new credentials. Generations that were sent before keep the old ones."""
    request = pb.RotateAccountRequest(name=name, credentials=_read(credentials))
    _show(operator.ask(lambda admin: admin.RotateAccount, request).account)


@accounts.command(name="list")
@operator_options
@click.option("--check", is_flag=True, help="Ask Higgsfield first whether it accepts the credentials, which is free.")
@json_option
def list_accounts(operator: Operator, check: bool, as_json: bool) -> None:
    """List accounts and who uses them. A line for each set of credentials, then one for each tenant."""
    response = operator.ask(lambda admin: admin.ListAccounts, pb.ListAccountsRequest(check=check))
    if as_json:
        print_json(response)
        return
    for account in response.accounts:
        _show(account)
    for assignment in response.assignments:
        weights = " ".join(f"{account.name}={account.weight}" for account in assignment.accounts)
        echo(f"tenant {assignment.tenant}: {weights}")


@accounts.command()
@operator_options
@click.argument("name")
@click.option("--old", is_flag=True, help="Only the credentials before the newest ones, after a rotation.")
@click.option("--force", is_flag=True, help="Even if unfinished generations or trainings of unknown outcome need them.")
def remove(operator: Operator, name: str, old: bool, force: bool) -> None:
    """Remove the account NAME, or its old credentials."""
    request = pb.RemoveAccountRequest(name=name, only_old_credentials=old, force=force)
    operator.ask(lambda admin: admin.RemoveAccount, request)
    echo(f"{name}: {'old credentials' if old else 'account'} removed")


@accounts.command()
@operator_options
@click.option("--tenant", required=True, metavar="NAME", help="The tenant.")
@click.option(
    "--account", "chosen", multiple=True, required=True, metavar="NAME[=WEIGHT]", help="An account; can be repeated."
)
def assign(operator: Operator, tenant: str, chosen: tuple[str, ...]) -> None:
    """Let a tenant use an account, or several by their weights.

    The first is also used for uploads, agents and characters.
    """
    request = pb.AssignAccountsRequest(tenant=tenant)
    for choice in chosen:
        name, equals, weight = choice.partition("=")
        try:
            # The message has no weight that was given as 0, so -1 stands for it, which the server refuses as well.
            request.accounts.add(name=name, weight=int(weight) or -1 if equals else 1)
        except ValueError:
            wrong = "must be NAME or NAME=WEIGHT, for example films=3"
            raise click.BadParameter(wrong, param_hint="--account") from None
    operator.ask(lambda admin: admin.AssignAccounts, request)


@accounts.command()
@operator_options
@click.option("--tenant", required=True, metavar="NAME", help="The tenant.")
def unassign(operator: Operator, tenant: str) -> None:
    """Let a tenant use the default account again."""
    operator.ask(lambda admin: admin.AssignAccounts, pb.AssignAccountsRequest(tenant=tenant))


@accounts.command(name="new-key")
def new_key() -> None:
    """Print a new key for HFGATEWAY_ACCOUNTS_KEY."""
    import base64
    import secrets

    echo(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())


def _read(credentials: IO[str]) -> str:
    if credentials.isatty():
        text: str = click.prompt("KEY_ID:SECRET", hide_input=True, err=True)
        return text
    try:
        return credentials.read(10_000).strip()
    except UnicodeDecodeError:
        raise click.BadParameter("is not text", param_hint="--file") from None


def _show(account: pb.Account) -> None:
    for credentials in account.credentials:
        if credentials.removed:
            state = "removed"
        elif credentials.HasField("accepted"):
            state = "accepted" if credentials.accepted else "refused"
        else:
            state = "not checked"
        of = f"tenant {account.tenant}" if account.tenant else ""
        added = time_text(credentials.create_time.seconds) if credentials.HasField("create_time") else "HF_KEY"
        echo_cells((account.name, credentials.id, added, state, f"{credentials.in_flight} in flight", of))
