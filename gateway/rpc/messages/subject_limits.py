"""Converts limits of tenants, API keys and labels between messages and values."""

import re
from collections.abc import Collection

from gateway.access.keys import NAME_RULE, is_name
from gateway.errors import Violation, raise_if_invalid
from gateway.generations.limits.model import TENANT, Limits, SubjectLimits, format_credits, parse_credits
from gateway.rpc.messages.convert import STEERING
from hfgateway.admin.v1 import admin_service_pb2 as pb

MAX_MODELS, MAX_MODEL_LENGTH = 100, 200
MAX_LIMIT = 10**15
"""The largest number of submissions or generations in a limit."""
_SUBJECT = re.compile(r"tenant|key:[0-9a-f]{12}|label:[a-z0-9._/-]{1,63}=.{0,255}", re.DOTALL)
_NO_SUBJECT = Violation("subject", "must be tenant, key:ID or label:NAME=VALUE")
_NO_LABEL = Violation(
    "subject",
    "a label must be NAME=VALUE, with a name of 1 to 63 of a-z, 0-9, '.', '_', '-', '/', "
    "and a value of at most 255 characters without control characters",
)
NO_KEY = Violation("subject", "the tenant has no API key with this id")
_MODEL = re.compile(r"[a-z0-9][a-z0-9./_-]*")
FIELDS = {name: name for name in pb.Limits.DESCRIPTOR.fields_by_name} | {"model_id_prefixes": "models"}
"""The fields of a `Limits` message, and those of `Limits`."""
_CREDITS = ("credits_per_day", "credits_per_month")
_CREDITS_FORM = re.compile(r"[0-9]+(?:\.[0-9]{1,6}0*)?")
_COUNTS = ("submissions_per_minute", "in_flight")


def limits_of(request: pb.SetLimitsRequest) -> tuple[str, str, Limits, Collection[str]]:
    """Return the tenant, the subject and the limits of a request, and the fields of `Limits` to set.

    Raises INVALID_INPUT with all violations.
    """
    wrong = []
    subject, given = request.subject or TENANT, pb.Limits()
    paths = set(request.update_mask.paths) or FIELDS.keys()
    if unknown := paths - FIELDS.keys():
        wrong.append(Violation("update_mask", f"has a path that is not a field of limits: {min(unknown):.100}"))
    given.CopyFrom(request.limits)
    for path in FIELDS.keys() - paths:
        given.ClearField(path)  # type: ignore[arg-type]
    if not is_name(request.tenant):
        wrong.append(Violation("tenant", NAME_RULE))
    if not _SUBJECT.fullmatch(subject) or STEERING.search(subject):
        wrong.append({"key": NO_KEY, "label": _NO_LABEL}.get(subject.partition(":")[0], _NO_SUBJECT))
    found: dict[str, int] = {}
    for name in _CREDITS:
        if given.HasField(name):  # type: ignore[arg-type]
            try:
                found[name] = parse_credits(getattr(given, name))
            except ValueError as error:
                wrong.append(Violation(f"limits.{name}", str(error)))
                continue
            # Rounding up would set a larger limit than the requested one.
            if not _CREDITS_FORM.fullmatch(getattr(given, name)):
                wrong.append(Violation(f"limits.{name}", "must be digits, with at most six decimals"))
    for name in _COUNTS:
        if given.HasField(name):  # type: ignore[arg-type]
            found[name] = getattr(given, name)
            if not 0 <= found[name] <= MAX_LIMIT:
                wrong.append(Violation(f"limits.{name}", f"must be from 0 to {MAX_LIMIT}"))
    if given.HasField("concurrency_share"):
        found["concurrency_share"] = given.concurrency_share
        if subject != TENANT:
            wrong.append(Violation("limits.concurrency_share", "is for tenants only"))
        elif not 1 <= given.concurrency_share <= 100:
            wrong.append(Violation("limits.concurrency_share", "must be from 1 to 100 percent"))
    models = tuple(given.model_id_prefixes)
    if len(models) > MAX_MODELS or not all(
        len(prefix) <= MAX_MODEL_LENGTH and _MODEL.fullmatch(prefix) for prefix in models
    ):
        wrong.append(Violation("limits.model_id_prefixes", f"must be at most {MAX_MODELS} prefixes such as bytedance/"))
    raise_if_invalid(wrong)
    return request.tenant, subject, Limits(models=models, **found), [FIELDS[path] for path in paths]


def limits_message(subject_limits: SubjectLimits, uncertain: int) -> pb.LimitsOfSubject:
    """Return the message for limits and their use. `uncertain` is in millionths of a credit."""
    use = subject_limits.use
    message = pb.LimitsOfSubject(
        tenant=subject_limits.tenant,
        subject=subject_limits.subject,
        use=pb.Use(
            reserved_today=format_credits(use.day_reserved),
            spent_today=format_credits(use.day_spent),
            reserved_this_month=format_credits(use.month_reserved),
            spent_this_month=format_credits(use.month_spent),
            uncertain=format_credits(uncertain),
            in_flight=use.running,
            submissions_this_minute=use.submissions,
            day=use.day,
        ),
    )
    limits = message.limits
    limits.SetInParent()
    for name in _CREDITS:
        credits = getattr(subject_limits.limits, name)
        if credits is not None:
            setattr(limits, name, format_credits(credits))
    for name in (*_COUNTS, "concurrency_share"):
        number = getattr(subject_limits.limits, name)
        if number is not None:
            setattr(limits, name, number)
    limits.model_id_prefixes.extend(subject_limits.limits.models)
    return message
