"""`hfgateway adopt`, against a gateway and a sandbox: ids and files of them, interrupted and repeated."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from clients.python.tests.scripted_gateway import ScriptedGateway
from gateway.cli import exit_codes
from hfgateway.v1 import generation_service_pb2 as pb
from tests.cli.conftest import Command
from tests.support.elsewhere import job_set_elsewhere, request_elsewhere
from tests.support.running import Running, run


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with run(tmp_path, concurrency_limit=500) as one:
        yield one


@pytest.fixture
def hfgateway(running: Running) -> Command:
    return Command(running.gateway.grpc_address)


def outcomes(out: str) -> list[list[str]]:
    """Return the lines without the ids of generations."""
    rows = [line.split("\t") for line in out.splitlines()]
    return [[request_id, outcome, last] for request_id, outcome, _, last in rows]


async def test_an_adopted_request_can_be_listed_by_its_id(running: Running, hfgateway: Command) -> None:
    request_id = await request_elsewhere(running, "a fox")
    first, again = await hfgateway("adopt", request_id), await hfgateway("adopt", request_id)
    assert (first.code, outcomes(first.out)) == (0, [[request_id, "adopted", "QUEUED"]])
    assert (again.code, outcomes(again.out)) == (0, [[request_id, "known", "QUEUED"]])
    listed = await hfgateway("list", "--request-id", request_id, "--json")
    assert [json.loads(line)["upstream"]["requestId"] for line in listed.out.splitlines()] == [request_id]
    unknown = str(uuid4())
    missing = await hfgateway("adopt", unknown)
    assert (missing.code, missing.out.split("\t")[:2]) == (exit_codes.REFUSED, [unknown, "not found"])


async def test_a_line_that_is_no_text_is_invalid(running: Running, hfgateway: Command, tmp_path: Path) -> None:
    request_id = await request_elsewhere(running, "a fox")
    half = rb'{"request_id": "x", "labels": {"team": "\ud800"}}'
    deep = b'{"request_id":' * 100_000
    (tmp_path / "ids").write_bytes(b"\n".join([b"\xff\xfe", half, deep, request_id.encode()]))
    ended = await hfgateway("adopt", "--file", str(tmp_path / "ids"))
    assert [line.split("\t")[1] for line in ended.out.splitlines()] == ["invalid", "invalid", "invalid", "adopted"]


@pytest.mark.parametrize("form", ["{}", '{{"request_id": "{}"}}'])
async def test_a_file_may_begin_with_a_byte_order_mark(
    running: Running, hfgateway: Command, tmp_path: Path, form: str
) -> None:
    """Spreadsheets and editors on Windows write it."""
    request_id = await request_elsewhere(running, "a fox")
    (tmp_path / "ids").write_text(form.format(request_id), encoding="utf-8-sig")
    ended = await hfgateway("adopt", "--file", str(tmp_path / "ids"))
    assert (ended.code, outcomes(ended.out)) == (0, [[request_id, "adopted", "QUEUED"]])


async def test_a_file_may_mix_ids_and_json_and_each_line_has_an_outcome(
    running: Running, hfgateway: Command, tmp_path: Path
) -> None:
    plain, described, unknown = [await request_elsewhere(running, "a fox") for _ in range(2)] + [str(uuid4())]
    job_set = await job_set_elsewhere(running, "a hen")
    lines = [
        "# the export of last week",
        plain,
        "",
        json.dumps({"request_id": described, "labels": {"team": "red"}}),
        json.dumps({"request_id": job_set, "api_version": "v1"}),
        "no id",
        unknown,
        '{"id": "x"}',
        '{"request_id": "x", "api_version": ["v1"]}',
        "{",
        plain,
    ]
    file = tmp_path / "ids.txt"
    file.write_text("\n".join(lines), "utf-8")
    # One after the other, so that the last line is not adopted before the first.
    ended = await hfgateway("adopt", "--file", str(file), "--label", "from=export", "--json", "--concurrency", "1")
    results = [json.loads(line) for line in ended.out.splitlines()]
    assert [one["outcome"] for one in results] == [
        "adopted", "adopted", "adopted", "invalid", "not found", "invalid", "invalid", "invalid", "known",
    ]  # fmt: skip
    assert ended.code == exit_codes.REFUSED
    assert ended.err.splitlines()[-1] == "3 adopted, 4 invalid, 1 not found, 1 known"
    listed = await hfgateway("list", "--label", "from=export", "--label", "team=red", "--json")
    assert [json.loads(line)["upstream"]["requestId"] for line in listed.out.splitlines()] == [described]


async def test_an_interrupted_import_continues_where_it_stopped(
    running: Running, hfgateway: Command, tmp_path: Path
) -> None:
    ids = [await request_elsewhere(running, f"fox {number}") for number in range(60)]
    file = tmp_path / "ids.txt"
    file.write_text("\n".join(ids), "utf-8")
    # Higgsfield refuses the credentials after some of them, which concerns all later ones as well.
    running.plan(on="status", status=401, body={"detail": "Invalid credentials"}, prompt="fox 30", times=1)
    first = await hfgateway("adopt", "--file", str(file), "--concurrency", "4")
    adopted = [one for one, outcome, _ in outcomes(first.out) if outcome == "adopted"]
    assert first.code == exit_codes.REFUSED
    assert f"Stopped at {ids[30]}" in first.err
    assert set(ids[:30]) <= set(adopted) < set(ids[:40])
    running.clock.advance(60)
    again = await hfgateway("adopt", "--file", str(file), "--concurrency", "4")
    assert (again.code, [one for one, _, _ in outcomes(again.out)]) == (0, ids)
    assert [outcome for _, outcome, _ in outcomes(again.out)].count("known") == len(adopted)
    page: pb.ListGenerationsResponse = await running.grpc.call(
        "ListGenerations", pb.ListGenerationsRequest(page_size=500)
    )
    assert sorted(one.upstream.request_id for one in page.generations) == sorted(ids)
    assert running.ledger.summary()["submissions_seen"] == 60


async def test_ctrl_c_does_not_wait_for_the_adoptions_under_way(gateway: ScriptedGateway) -> None:
    asked = asyncio.Event()

    async def never(_request: object) -> None:
        asked.set()
        await gateway.hang()

    gateway.on("AdoptGeneration", never)
    process = await Command(gateway.address).start("adopt", str(uuid4()))
    await asyncio.wait_for(asked.wait(), 60)
    process.send_signal(signal.SIGINT)
    code = await asyncio.wait_for(process.wait(), 20)  # a call is repeated for 30 s
    assert code == exit_codes.INTERRUPTED


async def test_a_command_without_ids_is_a_usage_error(hfgateway: Command) -> None:
    ended = await hfgateway("adopt")
    assert (ended.code, "ID" in ended.err) == (exit_codes.USAGE, True)
