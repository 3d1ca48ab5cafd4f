"""What tenants have used, as QueryUsage and `hfgateway usage` report it."""

from __future__ import annotations

import csv
import io
import json

import pytest

from gateway.cli import exit_codes
from hfgateway.admin.v1 import admin_service_pb2 as admin_pb
from hfgateway.v1 import generation_service_pb2 as pb
from tests.admin.test_limits import set_limits
from tests.support.operator import ask, command, refused
from tests.support.running import Running, soul


async def groups(running: Running, *by: str, **fields: object) -> dict[tuple[str, ...], admin_pb.UsageGroup]:
    request = admin_pb.QueryUsageRequest(group_by=by, **fields)  # type: ignore[arg-type]
    answer: admin_pb.QueryUsageResponse = await ask(running, "QueryUsage", request)
    return {tuple(group.values): group for group in answer.groups}


async def test_usage_is_summed_by_day_model_and_label(running: Running) -> None:
    await set_limits(running, credits_per_day="10")
    red = await running.submit(soul("a fox", labels={"team": "red"}))
    await running.start_running(red.id)
    ended = await running.finish(red.id)
    live = await running.submit(soul("an owl", labels={"team": "blue"}))
    canceled = await running.submit(soul("a crow"))
    await running.grpc.call("CancelGeneration", pb.CancelGenerationRequest(id=canceled.id))

    (whole,) = (await groups(running)).values()
    assert whole.generations == 3
    assert dict(whole.by_state) == {"COMPLETED": 1, "CANCELED": 1, "QUEUED": 1}
    assert (whole.credits_spent, whole.credits_reserved, whole.unpriced) == ("0.05", "0.05", 0)
    begun, end = (getattr(ended, name).ToMicroseconds() for name in ("start_time", "end_time"))
    assert whole.mean_run.ToMicroseconds() == pytest.approx(end - begun, abs=2)

    teams = await groups(running, "label:team", "model")
    model_id = ended.model_id
    assert teams.keys() == {("red", model_id), ("blue", model_id), ("", model_id)}
    assert teams["red", model_id].mean_wait.ToMicroseconds() == pytest.approx(
        begun - ended.create_time.ToMicroseconds(), abs=2
    )
    assert dict(teams["blue", model_id].by_state) == {"QUEUED": 1}
    assert not teams["blue", model_id].HasField("mean_run")

    day = ended.create_time.ToDatetime().strftime("%Y-%m-%d")
    assert {values[1:] for values in await groups(running, "day", "tenant", "key")} == {("default", "")}
    assert day in {values[0] for values in await groups(running, "day")}
    assert await groups(running, tenant="another") == {}
    assert await groups(running, end_time=red.create_time) == {}
    later = await groups(running, start_time=live.create_time)
    assert next(iter(later.values())).generations == 2


async def test_generations_without_a_price_are_counted_apart(running: Running) -> None:
    await running.finish((await running.submit(soul("a fox"))).id)
    (whole,) = (await groups(running)).values()
    assert (whole.credits_spent, whole.unpriced) == ("0", 1)


async def test_the_command_prints_tables_csv_and_json(running: Running) -> None:
    await running.finish((await running.submit(soul("a fox", labels={"team": "red"}))).id)
    arguments = ("usage", "--since", "7d", "--by", "tenant", "--by", "label:team")
    table = (await command(running, *arguments)).out.splitlines()
    assert [line.split("\t")[:4] for line in table] == [
        ["tenant", "label:team", "generations", "completed"], ["default", "red", "1", "1"],
    ]  # fmt: skip
    (row,) = csv.DictReader(io.StringIO((await command(running, *arguments, "--csv")).out))
    assert (row["label:team"], row["generations"], row["unpriced"]) == ("red", "1", "1")
    group = json.loads((await command(running, *arguments, "--json")).out)
    assert group["byState"] == {"COMPLETED": "1"}
    assert (await command(running, "usage", "--since", "soon")).code != 0
    wrong = await command(running, "usage", "--by", "day", "--by", "week")
    assert wrong.err == "error: --by: must be day, tenant, key, model or label:NAME\n"
    both = await command(running, "usage", "--csv", "--json")
    assert (both.code, both.out) == (exit_codes.USAGE, "")


async def test_the_command_reads_dates_with_offsets(running: Running) -> None:
    hour = ("--since", "2026-11-01T06:00+06:00", "--until", "2026-11-01T01:00")
    assert (await command(running, "usage", *hour)).code == 0
    assert (await command(running, "usage", "--since", "2026-11-01T02:00Z", *hour[2:])).code != 0


@pytest.mark.parametrize(
    "fields",
    [
        {"group_by": ["week"]},
        {"group_by": ["day", "day"]},
        {"group_by": ["label:a", "label:b"]},
        {"start_time": {"seconds": 2}, "end_time": {"seconds": 1}},
    ],
    ids=["unknown", "repeated", "two labels", "backwards"],
)
async def test_an_invalid_query_is_refused(running: Running, fields: dict[str, object]) -> None:
    request = admin_pb.QueryUsageRequest(**fields)  # type: ignore[arg-type]
    assert await refused(running, "QueryUsage", request) == "INVALID_ARGUMENT"
