"""`hfgateway limits`: budgets and limits of tenants, API keys and labels, through AdminService."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from gateway.cli.operator import Operator, operator_options
from gateway.cli.output import echo, echo_cells, json_option, print_json
from gateway.settings.values import split_list
from hfgateway.admin.v1 import admin_service_pb2 as pb

NONE = "none"
_FIELDS = ("credits_per_day", "credits_per_month", "submissions_per_minute", "in_flight", "concurrency_share")
_OPTIONS = {name: f"--{name.replace('_', '-')}" for name in _FIELDS}
_OPTIONS |= {"concurrency_share": "--share", "model_id_prefixes": "--models"}


@click.group()
def limits() -> None:
    """Set and show the limits of a gateway."""


def _whose(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that name a tenant and a subject, which the command receives as `tenant` and `subject`."""

    @click.option("--tenant", required=True, metavar="NAME", help="The tenant.")
    @click.option("--key", metavar="ID", help="Only the API key ID of the tenant.")
    @click.option("--label", metavar="NAME=VALUE", help="Only generations of the tenant with this label.")
    @operator_options
    @functools.wraps(command)
    def with_subject(*, tenant: str, key: str | None, label: str | None, **options: Any) -> None:
        if not tenant:  # in a list of limits, it would stand for all tenants
            raise click.UsageError("--tenant must not be empty")
        if key is not None and label is not None:
            raise click.UsageError("use one of --key and --label")
        if label is not None and "=" not in label:
            raise click.UsageError("--label must be NAME=VALUE")
        subject = f"label:{label}" if label is not None else "tenant" if key is None else f"key:{key}"
        command(tenant=tenant, subject=subject, **options)

    return with_subject


@limits.command(name="set")
@_whose
@click.option("--credits-per-day", metavar="CREDITS", help="Credits of all submissions of a UTC day.")
@click.option("--credits-per-month", metavar="CREDITS", help="Credits of all submissions of a UTC month.")
@click.option("--submissions-per-minute", metavar="N", help="Submissions in each minute.")
@click.option("--in-flight", metavar="N", help="Generations that have not ended.")
@click.option("--share", metavar="PERCENT", help="Share of the account's concurrency. Only for tenants.")
@click.option("--models", metavar="PREFIXES", help="The models that may be used: prefixes of ids, with commas.")
def set_limits(operator: Operator, tenant: str, subject: str, share: str | None, **given: str | None) -> None:
    """Set limits of a tenant, or of one of its keys or labels. Other limits stay; the value none removes one."""
    given["concurrency_share"] = share
    models = given.pop("models")
    if models is None and all(value is None for value in given.values()):
        raise click.UsageError("name at least one limit, such as --credits-per-day 100")
    request = pb.SetLimitsRequest(tenant=tenant, subject=subject)
    request.update_mask.paths.extend(name for name, value in given.items() if value is not None)
    for name, value in given.items():
        if value is not None and value != NONE:
            _set(request.limits, name, value)
    if models is not None:
        prefixes = split_list(models)
        if not prefixes:
            raise click.UsageError("--models: name a prefix, or none")
        request.update_mask.paths.append("model_id_prefixes")
        request.limits.model_id_prefixes.extend([] if models == NONE else prefixes)
    _show(_ask(operator, request))


@limits.command()
@_whose
@json_option
def show(operator: Operator, tenant: str, subject: str, as_json: bool) -> None:
    """Show the limits of a tenant, key or label. Each has what is used of it."""
    found = next((entry for entry in _fetch_limits(operator, tenant) if entry.subject == subject), None)
    if as_json:
        print_json(found or pb.LimitsOfSubject(tenant=tenant, subject=subject, limits=pb.Limits()))
    elif found is None:
        echo(f"{_owner(tenant, subject)} has no limits")
    else:
        _show(found)


@limits.command(name="list")
@click.option("--tenant", default="", metavar="NAME", help="Only the limits of this tenant.")
@json_option
@operator_options
def list_limits(operator: Operator, tenant: str, as_json: bool) -> None:
    """List all limits. A line has tenant, subject, and each limit with what is used of it."""
    for subject_limits in _fetch_limits(operator, tenant):
        if as_json:
            print_json(subject_limits)
        else:
            found = [f"{name} {used} of {most}" for name, used, most in _use_of_limits(subject_limits)]
            if subject_limits.limits.HasField("concurrency_share"):
                found.append(f"share {subject_limits.limits.concurrency_share} %")
            if subject_limits.limits.model_id_prefixes:
                found.append(f"models {' '.join(subject_limits.limits.model_id_prefixes)}")
            echo_cells((subject_limits.tenant, subject_limits.subject, ", ".join(found)))


@limits.command()
@_whose
def clear(operator: Operator, tenant: str, subject: str) -> None:
    """Remove all limits of a tenant, or of one of its keys or labels."""
    _ask(operator, pb.SetLimitsRequest(tenant=tenant, subject=subject))
    echo(f"{_owner(tenant, subject)} has no limits")


def _ask(operator: Operator, request: pb.SetLimitsRequest) -> pb.LimitsOfSubject:
    options = {f"limits.{field}": option for field, option in _OPTIONS.items()}
    options["subject"] = f"--{request.subject.partition(':')[0]}"
    response: pb.SetLimitsResponse = operator.ask(lambda admin: admin.SetLimits, request, **options)
    return response.limits


def _set(limits: pb.Limits, name: str, value: str) -> None:
    try:
        setattr(limits, name, value if name.startswith("credits") else int(value))
    except ValueError:  # also for a number that the field cannot hold
        allowed = "1 to 100" if name == "concurrency_share" else "0 to 1000000000000000"
        raise click.UsageError(f"{_OPTIONS[name]} must be a whole number from {allowed}, or none") from None


def _owner(tenant: str, subject: str) -> str:
    return f"tenant {tenant}" if subject == "tenant" else f"{subject} of tenant {tenant}"


def _fetch_limits(operator: Operator, tenant: str) -> list[pb.LimitsOfSubject]:
    pages = operator.pages(lambda admin: admin.ListLimits, pb.ListLimitsRequest(tenant=tenant))
    return [subject_limits for page in pages for subject_limits in page.limits]


def _show(subject_limits: pb.LimitsOfSubject) -> None:
    """Print a line for each limit."""
    echo(_owner(subject_limits.tenant, subject_limits.subject))
    for name, used, most in _use_of_limits(subject_limits):
        echo(f"  {name}: {used} of {most}")
    if subject_limits.limits.HasField("concurrency_share"):
        echo(f"  share: {subject_limits.limits.concurrency_share} %")
    if subject_limits.limits.model_id_prefixes:
        echo(f"  models: {', '.join(subject_limits.limits.model_id_prefixes)}")
    if subject_limits.limits.HasField("credits_per_day") or subject_limits.limits.HasField("credits_per_month"):
        use = subject_limits.use
        echo(f"  today: {use.spent_today} spent, {use.reserved_today} reserved")
        echo(f"  this month: {use.spent_this_month} spent, {use.reserved_this_month} reserved")
        echo(f"  {use.uncertain} of the reserved credits belong to UNCERTAIN generations")


def _use_of_limits(subject_limits: pb.LimitsOfSubject) -> list[tuple[str, str, str]]:
    """Return the name, the use and the value of each limit of which something is used up."""
    from decimal import Decimal

    use, found = subject_limits.use, []
    today = Decimal(use.reserved_today) + Decimal(use.spent_today)
    this_month = Decimal(use.reserved_this_month) + Decimal(use.spent_this_month)
    used = (str(today), str(this_month), str(use.submissions_this_minute), str(use.in_flight))
    for name, text in zip(_FIELDS, used, strict=False):
        if subject_limits.limits.HasField(name):  # type: ignore[arg-type]
            found.append((name.replace("_", " "), text, str(getattr(subject_limits.limits, name))))
    return found
