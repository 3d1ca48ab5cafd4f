"""`hfgateway resolve`: resolves UNCERTAIN and LOST generations, through AdminService."""

from __future__ import annotations

import click

from gateway.cli.operator import Operator, operator_options
from gateway.cli.output import echo
from hfgateway.admin.v1 import admin_service_pb2 as pb


@click.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option(
    "--as-request",
    metavar="REQUEST_ID",
    help="Bind the generation to this request at Higgsfield. A LOST generation stays LOST: a new one is created for "
    "the request, and printed.",
)
@click.option(
    "--lost",
    is_flag=True,
    help="The generation never ran, or its outcome will never be known. It becomes LOST. Also for one that was "
    "accepted a day ago, if Higgsfield sends no status of it that the gateway knows.",
)
@click.option("--resubmit", is_flag=True, help="Send the generation again with its key.")
@click.option("--may-charge-twice", is_flag=True, help="With --resubmit: even if Higgsfield may not know the key.")
@operator_options
def resolve(
    *,
    operator: Operator,
    ids: tuple[str, ...],
    as_request: str | None,
    lost: bool,
    resubmit: bool,
    may_charge_twice: bool,
) -> None:
    """Set the outcome of UNCERTAIN generations. With --as-request, ID is one UNCERTAIN or LOST generation.

    The command prints each resolved generation, and stops at the first one that cannot be resolved.
    """
    from hfgateway_client import state_name

    if sum((as_request is not None, lost, resubmit)) != 1 or (may_charge_twice and not resubmit):
        raise click.UsageError("use exactly one of --as-request, --lost and --resubmit")
    if as_request is not None and len(ids) > 1:
        raise click.UsageError("--as-request resolves only one generation")
    for generation_id in ids:
        request = pb.ResolveGenerationRequest(id=generation_id)
        if as_request is not None:
            request.request_id = as_request
        elif lost:
            request.lost.SetInParent()
        else:
            request.resubmit.may_charge_twice = may_charge_twice
        generation = operator.ask(lambda admin: admin.ResolveGeneration, request).generation
        echo(f"{generation.id} {state_name(generation)} {generation.upstream.request_id}".rstrip())
