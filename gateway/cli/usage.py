"""`hfgateway usage`: what tenants have used, as a table, CSV or JSON."""

from __future__ import annotations

import csv
import io
import time
from datetime import UTC, datetime

import click

from gateway.cli.operator import Operator, operator_options
from gateway.cli.output import echo_cells, json_option, print_json, write
from hfgateway.admin.v1 import admin_service_pb2 as pb

GROUPS = "day, tenant, key, model or label:NAME"


def parse_time(text: str) -> float:
    """Read a date, of UTC unless it names an offset, or an age such as 7d, as seconds since the epoch."""
    from gateway.generations.model import FIRST_SECOND, LAST_SECOND
    from gateway.settings.values import Seconds

    try:
        date = datetime.fromisoformat(text)
        at = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except ValueError:
        try:
            at = time.time() - Seconds(0)(text)
        except ValueError:
            raise click.BadParameter("must be a date such as 2026-11-01, or an age such as 7d") from None
    if not FIRST_SECOND <= at <= LAST_SECOND:
        raise click.BadParameter("must be a date from the year 1 to 9999")
    return at


@click.command()
@click.option(
    "--since",
    type=parse_time,
    metavar="WHEN",
    help="Start of the period: a UTC date, or an age such as 7d. Default: 30d.",
)
@click.option(
    "--until",
    type=parse_time,
    metavar="WHEN",
    help="End of the period (exclusive): a UTC date or an age. Default: now.",
)
@click.option("--tenant", default="", metavar="NAME", help="Only this tenant.")
@click.option("--by", "groups", multiple=True, metavar="GROUP", help=f"Group by {GROUPS}; can be repeated.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV with a line of names.")
@json_option
@operator_options
def usage(
    *,
    operator: Operator,
    since: float | None,
    until: float | None,
    tenant: str,
    groups: tuple[str, ...],
    as_csv: bool,
    as_json: bool,
) -> None:
    """Sum up generations, credits, waits and run times of a gateway."""
    if as_csv and as_json:
        raise click.UsageError("use one of --csv and --json")
    request = pb.QueryUsageRequest(tenant=tenant, group_by=groups or ("day", "tenant"))
    if since is not None:
        request.start_time.FromMicroseconds(round(since * 1e6))
    if until is not None:
        request.end_time.FromMicroseconds(round(until * 1e6))
    options = {f"group_by[{index}]": "--by" for index in range(len(groups))}
    response = operator.ask(lambda admin: admin.QueryUsage, request, **options)
    if as_json:
        print_json(*response.groups)
        return
    states = ("COMPLETED", "FAILED", "NSFW", "CANCELED", "LOST")
    names = [*request.group_by, "generations", *(state.lower() for state in states), "credits_spent"]
    names += ["credits_reserved", "unpriced", "mean_wait_seconds", "mean_run_seconds"]
    lines = [
        [
            *group.values,
            str(group.generations),
            *(str(group.by_state.get(state, 0)) for state in states),
            group.credits_spent,
            group.credits_reserved,
            str(group.unpriced),
            *(
                f"{getattr(group, name).ToMilliseconds() / 1000:.1f}" if group.HasField(name) else ""
                for name in ("mean_wait", "mean_run")
            ),
        ]
        for group in response.groups
    ]
    if as_csv:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([names, *lines])
        write(text.getvalue())
        return
    for line in [names, *lines]:
        echo_cells(line)
