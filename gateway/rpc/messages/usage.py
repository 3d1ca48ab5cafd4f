"""Converts queries of usage and their results between messages and values."""

import re
from collections.abc import Sequence

from gateway.errors import Violation, invalid_field, raise_if_invalid
from gateway.generations.limits.model import SPENDING_STATES, format_credits
from gateway.generations.limits.usage import DAY, KEY, LABEL, MAX_GROUPS, MODEL, TENANT, UsageQuery, UsageRow
from gateway.generations.model import Wall
from gateway.rpc.messages.convert import parse_wall_time
from hfgateway.admin.v1 import admin_service_pb2 as pb

DEFAULT_PERIOD = 30 * 86_400.0
"""Seconds before the end of a query without a start."""
_GROUP = re.compile(rf"{DAY}|{TENANT}|{KEY}|{MODEL}|{LABEL}[a-z0-9._/-]{{1,63}}")


def query_of(request: pb.QueryUsageRequest, now: float) -> UsageQuery:
    """Return the query. `now` is wall time. Raises INVALID_INPUT with all violations."""
    wrong: list[Violation] = []
    end = parse_wall_time(request, "end_time", wrong)
    until = now if end is None else end
    start = parse_wall_time(request, "start_time", wrong)
    since = until - DEFAULT_PERIOD if start is None else start
    if since >= until and not wrong:
        wrong.append(Violation("start_time", "must be before end_time"))
    for index, name in enumerate(request.group_by):
        if not _GROUP.fullmatch(name):
            wrong.append(Violation(f"group_by[{index}]", "must be day, tenant, key, model or label:NAME"))
        elif name in request.group_by[:index] or (name.startswith(LABEL) and _label_before(request.group_by, index)):
            wrong.append(Violation(f"group_by[{index}]", "must not be repeated; there can be one label"))
    raise_if_invalid(wrong)
    return UsageQuery(Wall(since), Wall(until), request.tenant, tuple(request.group_by))


def response_of(query: UsageQuery, rows: Sequence[UsageRow]) -> pb.QueryUsageResponse:
    """Return the groups. Raises INVALID_INPUT if there are too many."""
    groups: dict[tuple[str, ...], list[UsageRow]] = {}
    for row in rows:
        groups.setdefault(row.group(query), []).append(row)
    if len(groups) > MAX_GROUPS:
        raise invalid_field("group_by", f"gives more than {MAX_GROUPS} groups: ask for less time, or one tenant")
    response = pb.QueryUsageResponse()
    for values in sorted(groups):
        _add(response.groups.add(values=values), groups[values])
    return response


def _add(group: pb.UsageGroup, rows: Sequence[UsageRow]) -> None:
    for row in rows:
        group.generations += row.generations
        group.by_state[row.state.name] += row.generations
        group.unpriced += row.generations - row.priced if row.state in SPENDING_STATES else 0
    group.credits_spent = format_credits(sum(row.credits for row in rows if row.state in SPENDING_STATES))
    group.credits_reserved = format_credits(sum(row.credits for row in rows if not row.state.ended))
    waits, runs = sum(row.waits for row in rows), sum(row.runs for row in rows)
    if waits:
        group.mean_wait.FromMicroseconds(round(1e6 * sum(row.waited for row in rows) / waits))
    if runs:
        group.mean_run.FromMicroseconds(round(1e6 * sum(row.ran for row in rows) / runs))


def _label_before(names: Sequence[str], index: int) -> bool:
    return any(name.startswith(LABEL) for name in names[:index])
