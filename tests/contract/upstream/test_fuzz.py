"""Ten thousand mutations of Higgsfield's recorded responses, none of which may break the gateway.

Most pass through the parsers, the table of states, a row and the wire, as a poll or a webhook would; some through the
real client over a real socket; some through a whole gateway.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToJson
from hypothesis import given, note, settings
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.generations.inputs import SoulInput
from gateway.generations.model import Generation, InputKind, Source, State, StatusReport
from gateway.generations.ports import Estimate, MaybeTaken, NotTaken, Taken
from gateway.generations.state import TRANSITIONS, Accepted, Observation, Reported, advance
from gateway.generations.stores import Removal
from gateway.higgsfield.client import HiggsfieldClient
from gateway.higgsfield.credentials import Credentials
from gateway.higgsfield.errors import Response, documented_error, judge_call, judge_submission
from gateway.higgsfield.payloads import read_request_id, read_status
from gateway.higgsfield.redact import redacted
from gateway.higgsfield.webhooks import read_webhook
from gateway.rpc.messages import wire
from gateway.store.codec import at_revision, shown
from harness.responses.mutations import ID, STATUSES, Case, case
from tests.contract.store import examples
from tests.support.running import name_of, soul
from tests.support.timeline import run_timed

CASES, AT_ONCE = 10_000, 20
"""The number of cases, and of cases in one example: an example of Hypothesis costs more than a case."""
SECRETS = ("hush-hush",)

WAITING = examples.generation()
SENDING = examples.marked(WAITING)
QUEUED = examples.accepted(SENDING, ID)
RUNNING = examples.reported(QUEUED, State.IN_PROGRESS)
BEFORE: tuple[Generation, ...] = (
    SENDING,
    replace(SENDING, state=State.UNCERTAIN, ambiguous=True, marker=None, delay=examples.REFUSAL),
    QUEUED,
    RUNNING,
    examples.accepted(SENDING, "00000000-0000-4000-8000-000000000001"),
    *(examples.reported(RUNNING, state, at=3.0) for state in (State.COMPLETED, State.FAILED, State.NSFW)),
)
"""Generations that may receive a response: their request is ID, another one, or not known yet."""


# -- Pure --------------------------------------------------------------------------------------------------------------


@settings(max_examples=CASES // AT_ONCE, database=None)
@given(st.integers(min_value=0, max_value=2**40))
def test_any_response_is_read_judged_stored_and_shown(seed: int) -> None:
    for number in range(AT_ONCE):
        answer = case(seed * AT_ONCE + number)
        try:
            assert_survived(answer, (QUEUED, BEFORE[number % len(BEFORE)]))
        except BaseException:
            note(f"case({seed * AT_ONCE + number}): {answer.status} {answer.content_type}: {answer.body[:300]!r}")
            raise


def test_many_long_violations_are_a_message_of_limited_length() -> None:
    """Found by the test above: each of them has its own limit."""
    item = {"type": "missing", "loc": ["body", "prompt"], "msg": "0" * 450}
    assert_survived(Case(422, "application/json", json.dumps({"detail": [item] * 3}).encode()))


def assert_survived(answered: Case, generations: Sequence[Generation] = BEFORE) -> None:
    """Fail if a reader raises on this response, or if one of these generations changes as it must not."""
    whole = Response(answered.status, answered.content_type, None, "", answered.body)
    judged = judge_submission(whole, InputKind.SOUL, SECRETS)
    assert isinstance(judged, NotTaken | MaybeTaken)
    if isinstance(judged, NotTaken):
        assert documented_error(whole) is not None
        assert_presentable(judged.failure.message)
    assert_presentable(judge_call(whole, InputKind.NONE, SECRETS).failure.message)
    assert len(read_request_id(answered.body)) in {0, 36}
    for report in (read_status(answered.body, "", SECRETS), read_webhook(answered.body, SECRETS)):
        if report is not None:
            for before in generations:
                for observation in (Reported(report, Source.POLL), Accepted(report)):
                    assert_within_the_table(before, observation, report)


def assert_within_the_table(before: Generation, observation: Observation, report: StatusReport) -> None:
    """Fail if the generation takes a forbidden step, or one that cannot be stored or shown."""
    after = advance(before, observation, examples.moment(10.0))
    if after is None:
        return
    assert after.state in TRANSITIONS[type(observation)][before.state]
    if before.done:
        assert replace(after, version=before.version, stray_request_id="") == before
        return
    if isinstance(observation, Reported):
        assert report.request_id == before.request_id
        if report.state is None:
            same = {"version", "revision", "update_time", "source", "upstream_status", "missing_since", "other_results"}
            assert replace(after, **{name: getattr(before, name) for name in same}) == before
            assert after.upstream_status == report.status
            assert after.other_results == report.response()
    assert_presentable(after.upstream_status)
    for output in after.outputs:
        assert output.url.startswith(("http://", "https://"))
        assert output.url.isprintable()
    text = shown(after)
    text.encode()
    empty = replace(after, outputs=(), failure=None, other_results=None, used_input=None)
    assert shown(at_revision(empty, after.revision, text)) == text
    message = wire.generation_message(after, 0)
    assert message.FromString(message.SerializeToString()) == message
    MessageToJson(message, indent=None)  # with an indent, it takes three times as long


def assert_presentable(text: str) -> None:
    assert text.isprintable()
    assert len(text) <= 600
    assert "hush" not in text


@pytest.mark.parametrize("part", ["http://", "https://a?", "key ", "bearer ", "a:b ", "\ud800", "{"])
def test_the_longest_repetitive_response_is_redacted_in_time(part: str) -> None:
    text = part * ((1 << 20) // len(part))
    assert_presentable(redacted(text, SECRETS))
    body = json.dumps({"status": "failed", "request_id": ID, "error": text, "detail": text}).encode()
    assert_survived(Case(400, "application/json", body))


# -- Over a socket -----------------------------------------------------------------------------------------------------


class Peer:
    """A server that sends `answer` as the response to every request."""

    def __init__(self) -> None:
        self.answer = Case(200, "", b"")
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = [int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")]
                await reader.readexactly(length[0] if length else 0)
                answer = self.answer
                lines = (
                    f"HTTP/1.1 {answer.status} Whatever", f"Content-Type: {answer.content_type}",
                    f"Content-Length: {len(answer.body)}", "", "",
                )  # fmt: skip
                writer.write("\r\n".join(lines).encode() + answer.body)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def peer() -> AsyncIterator[tuple[Peer, HiggsfieldClient]]:
    one = Peer()
    server = await asyncio.start_server(one.handle, "127.0.0.1", 0)
    one.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    client = HiggsfieldClient(one.url, Credentials("id", SECRETS[0]), timeout=60.0)
    try:
        yield one, client
    finally:
        await client.aclose()
        server.close()


async def test_every_call_of_the_client_returns_a_result_or_raises_gateway_error() -> None:
    spec = replace(QUEUED.spec, api="v2")
    async with peer() as (one, client):
        request = client.prepare(SoulInput("p"), "key", None, None).request
        asked = replace(QUEUED, spec=spec)
        removal = Removal(asked.id, asked.request_id, spec.account, spec.origin)
        calls = {
            "status": (lambda: client.status(asked), StatusReport | None),
            "cancel": (lambda: client.cancel(asked), None),
            "delete": (lambda: client.delete(removal), None),
            "estimate": (lambda: client.estimate(SoulInput("p")), Estimate),
            "time": (client.time, float | None),
        }
        for seed in range(250):
            one.answer = case(seed)
            outcome = await client.submit(request, lambda: True)
            assert isinstance(outcome, Taken | NotTaken | MaybeTaken), seed
            assert not isinstance(outcome, NotTaken) or outcome.was_reached, seed
            for name, (call, kind) in calls.items():
                try:
                    result: Any = await call()
                except GatewayError as refused:
                    assert_presentable(refused.failure.message)
                else:
                    assert result is None if kind is None else isinstance(result, kind), (seed, name)


# -- Through a gateway -------------------------------------------------------------------------------------------------


def planned(seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Return faults of the sandbox for the cases whose body is text and whose status the sandbox can send."""
    found = []
    for seed in seeds:
        answer = case(seed)
        with suppress(UnicodeDecodeError):
            headers = {"Content-Type": "application/json"}
            found.append({"status": answer.status, "body": answer.body.decode(), "headers": headers})
    return [one for one in found if one["status"] in STATUSES and one["status"] != 204]


async def test_a_gateway_reaches_the_true_end_despite_malformed_statuses(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with run_timed(tmp_path, queue_seconds=600.0) as running:
        stored = await running.submit(soul("a fox"))
        faults = planned(range(150))
        for fault in faults:
            running.plan(on="status", **fault)
        await running.advance(3 * 3_600.0, until=lambda: len(running.sandbox.state.plan) == 0, step=5.0)
        assert len(running.sandbox.state.plan) == 0
        await running.advance(60.0, until=lambda: not running.live())
        history = [generation async for generation in running.history(stored.id)]
    assert [name_of(one) for one in history if one.done] == ["COMPLETED"]
    assert history[-1].outputs
    defects = ("internal error in a step of a generation; will retry in 60 s", "a listener of the store failed")
    assert [record for record in caplog.records if record.getMessage() in defects] == []
