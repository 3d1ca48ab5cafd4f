"""The scenarios of the kill tests, and the failpoints that each one reaches. Together they reach all failpoints."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from email.utils import formatdate
from pathlib import Path
from typing import TypeVar

import aiohttp
import pytest

from gateway.sandbox.catalog.presets import MOTIONS
from hfgateway.admin.v1 import admin_service_pb2 as admin_pb
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway_client import character_state_name, errors, soul, state_name
from hfgateway_client.agents import Message, SentMessage, SessionState
from tests.callbacks.receiver import Receiver
from tests.durability.lives import AT_WORK, KEY, Scenario, Stage
from tests.support.elsewhere import request_elsewhere
from tests.support.running import soul as submission
from tests.support.transports import ConnectTransport
from tests.support.webhooks import post, webhook_body

T = TypeVar("T")
PICTURE = bytes(range(256)) * 2_000
PROMPT = "a fox"
LOST = "a fox [lost]"
"""A submission that is processed and charged, and whose response is lost."""
BY_WEBHOOK = {"public_url": "http://{http}", "poll_min": "30", "poll_max": "30"}
"""Settings with which the gateway learns of ends by webhooks, because it hardly polls."""
SECOND_ACCOUNT = "films:films-secret"
NO_REPEATS = {"upstream_idempotency": "off"}
UNRESOLVED = (errors.SubmissionUnresolved, errors.DeadlineExceeded)
"""The errors of a client whose retries cannot determine the outcome."""
IN_AN_HOUR = formatdate(time.time() + 3600, usegmt=True)
"""A Date header of Higgsfield with a wrong clock."""
FAST = {"queue_seconds": 0.5, "image_seconds": 0.5, "time_scale": 10.0}
"""Options with which webhooks that failed are sent again after half a second."""


async def estimate_to_deletion(stage: Stage) -> None:
    """Get an estimate, submit, watch and delete."""
    await stage.client.estimate(submission(PROMPT).input)
    stored = await stage.submit(PROMPT)
    done = await stage.follow(stored.id)
    assert state_name(done) == "COMPLETED"
    assert await stage.client.delete(done.id)
    with pytest.raises(errors.NotFound):
        await stage.client.get(done.id)
    removed = stage.sandbox.state.generation(done.upstream.request_id)
    assert removed is not None
    assert removed.deleted_at is not None


async def completed(stage: Stage) -> None:
    """Submit and watch to the end."""
    stored = await stage.submit(PROMPT)
    done = await stage.follow(stored.id)
    assert state_name(done) == "COMPLETED"


async def ended_by_webhook(stage: Stage) -> None:
    """Receive the end by webhook only, which must not be lost after its 2xx response."""
    stored = await stage.submit(LOST, wait_for="stored")
    done = await stage.follow(stored.id)
    assert state_name(done) == "COMPLETED"


async def over_http(stage: Stage) -> None:
    """Do the same as `completed` with a simple Connect client."""
    transport = ConnectTransport(f"http://{stage.http_address}", codec="proto")
    try:
        stored = await _again(lambda: transport.call("SubmitGeneration", submission(PROMPT, KEY)))
        seen = [pb.WatchGenerationResponse().generation]

        async def watch() -> None:
            request = pb.WatchGenerationRequest(id=stored.generation.id, after_revision=seen[-1].revision)
            async for answer in transport.stream("WatchGeneration", request):
                if answer.HasField("generation"):
                    seen.append(answer.generation)

        await _again(watch)
    finally:
        await transport.close()
    assert [generation.revision for generation in seen] == list(range(len(seen)))
    assert state_name(await stage.follow(stored.generation.id)) == state_name(seen[-1]) == "COMPLETED"


async def canceled(stage: Stage) -> None:
    """Cancel during the submission, and retry until the generation has ended."""
    stored = await stage.submit(PROMPT, wait_for="stored")
    while not (await stage.client.get(stored.id)).done:
        with suppress(errors.NotCancelable):
            await stage.client.cancel(stored.id)
        await asyncio.sleep(0.1)
    assert state_name(await stage.follow(stored.id)) == "CANCELED"
    assert stage.sandbox.ledger.summary()["refund_count"] == 1


async def adopted(stage: Stage) -> None:
    """Adopt a request that was made without the gateway, until there is a response, and once more."""
    request_id = await request_elsewhere(stage, PROMPT)
    found = (await stage.client.adopt(request_id)).generation
    assert (await stage.client.adopt(request_id)).generation.id == found.id
    assert state_name(await stage.follow(found.id)) == "COMPLETED"
    assert stage.sandbox.ledger.summary()["submissions_seen"] == 1


async def refused(stage: Stage) -> None:
    """Submit an input that is refused, and retry with the same key."""
    try:
        stored = await stage.submit(PROMPT)
    except errors.InputRefused:
        stored = await stage.submit(PROMPT)
    assert state_name(await stage.follow(stored.id)) == "COMPLETED"


async def named(stage: Stage) -> None:
    """Resolve an uncertain generation with its request."""
    stored = await stage.submit(LOST, wait_for="stored")
    await stage.until(stored.id, "UNCERTAIN")
    (charge,) = stage.sandbox.ledger.charges
    await stage.resolve(stored.id, request_id=charge.request_id)
    assert state_name(await stage.follow(stored.id)) == "COMPLETED"


async def resolved(stage: Stage) -> None:
    """Resolve an uncertain generation as lost, then with its request."""
    stored = await stage.submit(LOST, wait_for="stored")
    await stage.until(stored.id, "UNCERTAIN")
    given_up = await stage.resolve(stored.id, lost={})
    assert state_name(given_up) == "LOST"
    (charge,) = stage.sandbox.ledger.charges
    found = await stage.resolve(stored.id, request_id=charge.request_id)
    assert state_name(await stage.follow(found.id)) == "COMPLETED"
    assert state_name(await stage.follow(stored.id)) == "LOST"


async def given_up(stage: Stage) -> None:
    """Lose a response without any webhook: the generation ends as LOST, and is charged."""
    stored = await stage.submit(LOST, wait_for="stored")
    assert state_name(await stage.follow(stored.id)) == "LOST"


async def given_up_or_completed(stage: Stage) -> None:
    """Submit without idempotency keys: nothing is sent a second time."""
    stored = await stage.submit(PROMPT, wait_for="stored")
    assert state_name(await stage.follow(stored.id)) in {"LOST", "COMPLETED"}


async def submitted_to_v1(stage: Stage) -> None:
    """Submit to v1, which has no idempotency keys: nothing is sent a second time."""
    stored = await stage.submit(PROMPT, v1=True, wait_for="stored")
    done = await stage.follow(stored.id)
    assert state_name(done) in {"LOST", "COMPLETED"}
    assert len(stage.sandbox.ledger.submissions) <= 1
    if state_name(done) == "COMPLETED":
        assert len([output for output in done.outputs if output.url]) == 4


async def found_by_webhook_of_v1(stage: Stage) -> None:
    """Lose the response of v1; the webhook reports the request."""
    stored = await stage.submit(LOST, v1=True, wait_for="stored")
    assert state_name(await stage.follow(stored.id)) == "COMPLETED"
    assert len(stage.sandbox.ledger.submissions) == 1


async def sent_twice(stage: Stage) -> None:
    """Higgsfield creates two requests for one key: repeats stay off for the account."""
    stored = await stage.submit(PROMPT, wait_for="stored")
    await stage.becomes(lambda: len(stage.sandbox.ledger.charges) == 2)
    first = stage.sandbox.ledger.submissions[0]
    url, request_id = first.webhook, first.request_id
    assert url is not None
    assert request_id is not None
    answer = await _again(lambda: post(url, webhook_body(request_id)))
    assert answer.status == 200
    await stage.becomes(lambda: len(stage.rows("SELECT account FROM accounts WHERE repeats_off")) == 1)
    if stage.place == "after accepted by submit":
        await stage.becomes(lambda: stage.sandbox.ledger.summary()["refund_count"] == 1)
    done = await stage.follow(stored.id)
    assert (state_name(done), done.upstream.request_id) == ("COMPLETED", request_id)


async def uploaded(stage: Stage) -> None:
    """Upload a file, and retry: the file is complete or does not exist."""
    while True:
        try:
            upload = await stage.client.upload(PICTURE, "image/png", size=len(PICTURE))
        except errors.Unavailable:
            await asyncio.sleep(0.05)
        else:
            break
    async with aiohttp.ClientSession() as session, session.get(upload.url) as answer:
        assert await answer.read() == PICTURE


async def archived_and_removed(stage: Stage) -> None:
    """Archive an output, then delete the generation with its copy."""
    stored = await stage.submit(PROMPT)
    done = await stage.follow(stored.id)
    while not (await stage.client.get(done.id)).outputs[0].HasField("archived"):
        await asyncio.sleep(0.05)
    shown = (await stage.client.get(done.id)).outputs[0].archived
    copy = Path(shown.url.removeprefix("file://"))
    assert hashlib.sha256(copy.read_bytes()).hexdigest() == shown.sha256
    await stage.client.delete(done.id)
    await stage.becomes(lambda: not copy.exists())
    await stage.becomes(lambda: stage.rows("SELECT * FROM archive_files") == [])


async def callbacks_received(stage: Stage) -> None:
    """Receive every change by callback, signed and in order."""
    async with Receiver() as receiver:
        receiver.plan.append(500)
        made = await stage.client.create_callback(receiver.url, every_change=True, idempotency_key=KEY)
        secrets = [made.secret] if made.secret else []
        name = made.callback.id
        secrets.append(await stage.client.rotate_callback_secret(name))
        done = await stage.follow((await stage.submit(PROMPT)).id)
        await receiver.gets_one(lambda got: got.generation.done)
        assert all(any(got.signed_by(secret) for secret in secrets) for got in receiver.got)
        first_seen = list(dict.fromkeys(got.generation.revision for got in receiver.got))
        assert first_seen == list(range(1, done.revision + 1))
        assert len({got.id for got in receiver.got}) == done.revision

        last = f"{name}_{done.id}_{done.revision}"
        await stage.becomes(lambda: (2,) in stage.rows("SELECT state FROM callback_deliveries WHERE revision > 1"))
        before = len(receiver.got)
        await stage.client.redeliver(last)
        await receiver.gets(before + 1)
        assert {got.id for got in receiver.got[before:]} == {last}

        receiver.usual = 500
        owl = await stage.follow((await stage.client.submit(soul("an owl"), idempotency_key="other")).id)
        await receiver.gets_one(lambda got: got.generation.id == owl.id)
        await stage.client.delete(owl.id)
        await stage.client.update_callback(name, paused=False)
        left = f"SELECT * FROM callback_deliveries WHERE generation_id = '{owl.id}'"
        await stage.becomes(lambda: stage.rows(left) == [])
        await stage.client.delete_callback(name)
        assert stage.rows("SELECT * FROM callback_secrets") == []


async def catalog_listed(stage: Stage) -> None:
    """List the motions, which are stored from then on."""
    while True:
        try:
            motions = [motion.id async for motion in stage.client.list_motions()]
        except errors.Unavailable:
            await asyncio.sleep(0.05)
        else:
            break
    assert sorted(motions) == sorted(motion["id"] for motion in MOTIONS)
    assert len(stage.rows("SELECT * FROM catalogs")) == 1


async def agent_conversation(stage: Stage) -> None:
    """Send a message to an agent: it is sent and charged once."""
    agents = stage.client.agents
    session = await agents.create_session(idempotency_key="session")
    assert (await agents.create_session(idempotency_key="session")).id == session.id
    sent = await _say(stage, session.id, KEY)
    if sent is None:  # it was never sent, but that is unknown: the user decides to send it again
        assert stage.sandbox.ledger.agent_charges == []
        sent = await _say(stage, session.id, "another-key")
    assert sent is not None
    changes = [change async for change in agents.watch(session.id, sent.id, until_idle=True)]
    assert isinstance(changes[-1], Message) or changes[-1].state == SessionState.SESSION_STATE_IDLE
    await agents.interrupt(session.id)
    (charge,) = stage.sandbox.ledger.agent_charges
    assert charge.message_id == sent.id
    assert [one.text async for one in agents.messages(session.id)] == [PROMPT, f"Done: {PROMPT}"]
    again = await _say(stage, session.id, sent.idempotency_key)
    assert again is not None
    assert again.replayed
    assert again.id == sent.id


async def busy_agent_session(stage: Stage) -> None:
    """Send a message that is refused, and retry with the key, unless the refusal was not stored."""
    session = await stage.client.agents.create_session()
    try:
        sent = await _say(stage, session.id, KEY)
    except errors.SessionBusy:
        sent = await _say(stage, session.id, KEY)
    if sent is None:
        assert stage.place == "before agent message refused"
        sent = await _say(stage, session.id, "another-key")
    assert sent is not None
    (charge,) = stage.sandbox.ledger.agent_charges
    assert charge.message_id == sent.id


async def _say(stage: Stage, session_id: str, key: str) -> SentMessage | None:
    """Send a message, and retry until the outcome is known; return None if it cannot be determined."""
    while True:
        try:
            return await stage.client.agents.send(session_id, PROMPT, idempotency_key=key, timeout=3.0)
        except errors.SubmissionUnresolved:
            return None
        except (errors.Unavailable, errors.DeadlineExceeded):
            await asyncio.sleep(0.05)


async def agent_media_uploaded(stage: Stage) -> None:
    """Upload media for an agent, and retry."""
    while True:
        try:
            url = await stage.client.agents.upload_media(PICTURE, extension="png")
        except (errors.Unavailable, errors.NotFound):
            await asyncio.sleep(0.05)
        else:
            break
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert await answer.read() == PICTURE


async def keys_made_and_revoked(stage: Stage) -> None:
    """Create and revoke an API key."""
    made = await stage.ask("CreateApiKey", admin_pb.CreateApiKeyRequest(tenant="shop"))
    await stage.ask("RevokeApiKey", admin_pb.RevokeApiKeyRequest(id=made.api_key.id))
    listed = await stage.ask("ListApiKeys", admin_pb.ListApiKeysRequest())
    (kept,) = (key for key in listed.api_keys if key.id == made.api_key.id)
    assert kept.HasField("revoke_time")
    assert made.secret not in str(stage.rows("SELECT hash FROM api_keys"))


async def account_added_and_used(stage: Stage) -> None:
    """Add an account, assign it, and generate with it."""
    await stage.ask("AddAccount", admin_pb.AddAccountRequest(name="films", credentials=SECOND_ACCOUNT))
    accounts = [admin_pb.WeightedAccount(name="films")]
    await stage.ask("AssignAccounts", admin_pb.AssignAccountsRequest(tenant="default", accounts=accounts))
    await completed(stage)
    assert len(stage.sandbox.state.accounts[SECOND_ACCOUNT].generations) == 1
    assert SECOND_ACCOUNT.encode() not in stage.rows("SELECT sealed FROM credentials")[0][0]


async def limits_set_and_used(stage: Stage) -> None:
    """Set a budget, and spend it: it is charged once, and the sums are those of the generations."""
    limits = admin_pb.Limits(credits_per_day="0.05")
    await stage.ask("SetLimits", admin_pb.SetLimitsRequest(tenant="default", limits=limits))
    await completed(stage)
    (found,) = (await stage.ask("ListLimits", admin_pb.ListLimitsRequest())).limits
    assert (found.use.spent_today, found.use.reserved_today, found.use.in_flight) == ("0.05", "0", 0)


async def trained(stage: Stage) -> None:
    """Train a character, watch it to the end, and find it again."""
    made = await stage.create_character("Anna")
    seen = [character async for character in stage.client.watch_character(made.id)]
    assert character_state_name(seen[-1]) == "COMPLETED"
    assert (await stage.create_character("Anna")).id == made.id
    assert [character.id async for character in stage.client.list_characters()] == [made.id]
    assert (await stage.client.get_character(made.id)).done


async def ambiguous_training(stage: Stage) -> None:
    """Train a character with an unknown outcome: it is found or unresolved, and never sent again."""
    with suppress(*UNRESOLVED):
        made = await stage.create_character("Anna")
        assert (await stage.client.get_character(made.id)).name == "Anna"
    assert len(stage.sandbox.ledger.trainings) <= 1
    assert len(stage.rows("SELECT id FROM characters")) == 1


async def training_refused(stage: Stage) -> None:
    """Train with images that are refused the first time, and retry with the same key."""
    try:
        made = await stage.create_character("Anna")
    except errors.InputRefused:
        made = await stage.create_character("Anna")
    except UNRESOLVED:
        return  # killed before the refusal was stored: the outcome is unknown, and nothing was charged
    assert (await stage.client.get_character(made.id)).name == "Anna"


async def character_deleted(stage: Stage) -> None:
    """Delete a character, twice."""
    made = await stage.create_character("Anna")
    for _ in range(2):
        await stage.client.delete_character(made.id)
    with pytest.raises(errors.NotFound):
        await stage.client.get_character(made.id)
    with pytest.raises(errors.KeyReused):
        await stage.create_character("Anna")
    assert stage.rows("SELECT gone FROM removed_characters") == [(1,)]


async def one_has_ended(stage: Stage) -> None:
    """Complete a generation in an earlier process, long ago."""
    gateway = await stage.start()
    await completed(stage)
    assert await gateway.terminate() == 0
    stage.make_old()


async def forgotten(stage: Stage) -> None:
    """Retry after retention removed the generation: its key creates no other one."""

    async def until_it_is_gone() -> None:
        while (await stage.submit(PROMPT)).replayed:
            await asyncio.sleep(0.05)

    with pytest.raises(errors.KeyReused):
        await until_it_is_gone()


async def _again(call: Callable[[], Awaitable[T]]) -> T:
    """Return the response of a call; retry it if the connection breaks."""
    while True:
        try:
            return await call()
        except (aiohttp.ClientError, ConnectionError, asyncio.IncompleteReadError, AssertionError) as error:
            if isinstance(error, AssertionError) and "the stream ended" not in str(error):
                raise
            await asyncio.sleep(0.1)


def around(*steps: str) -> tuple[str, ...]:
    """Return the failpoints before and after each step."""
    return tuple(f"{when} {step}" for step in steps for when in ("before", "after"))


def all_of(*calls: str) -> tuple[str, ...]:
    """Return the failpoints before, amid and after each call."""
    return tuple(f"{when} {call}" for call in calls for when in ("before", "amid", "after"))


SCENARIOS = {
    # Scenarios with an uncertain POST come first, because they wait for half a minute.
    "late connection": Scenario(completed, around("unsent"), late=True),
    "killed after the claim": Scenario(completed, around("owner died"), earlier=("after claim",)),
    "sent twice": Scenario(
        sent_twice,
        around("accepted by submit"),
        settings=BY_WEBHOOK,
        options={"honour_keys": False, "queue_seconds": 20.0},
        faults=({"on": "submit", "kind": "500", "processed": True}, {"on": "submit", "delay": 3.0}),
        charges=(2,),
        beside=(1,),
    ),
    "without keys": Scenario(
        given_up_or_completed,
        ("after claim", *all_of("submit call"), *around("accepted by submit")),
        settings=NO_REPEATS | {"uncertain_timeout": "1"},
        options={"honour_keys": False},
        charges=(0, 1),
        beside=(0, 1),
    ),
    "v1": Scenario(
        submitted_to_v1,
        ("after claim", *all_of("submit call"), *around("accepted by submit")),
        settings={"uncertain_timeout": "1"},
        charges=(0, 1),
        beside=(0, 1),
    ),
    "v1, found by a webhook": Scenario(
        found_by_webhook_of_v1,
        (*around("delivery", "accepted by webhook"), *all_of("status call")),
        settings=BY_WEBHOOK,
        options=FAST,
    ),
    "during processing": Scenario(completed, (AT_WORK,), faults=({"on": "submit", "kind": "hang", "processed": True},)),
    "started": Scenario(completed, all_of("credentials call")),
    "submitted": Scenario(completed, (*all_of("submit call"), *around("claim", "accepted by submit"))),
    "saturated": Scenario(
        completed,
        around("postponed", "marked"),
        faults=({"on": "submit", "kind": "429", "headers": {"Retry-After": "0"}},),
    ),
    "ambiguous": Scenario(
        completed, around("ambiguous"), faults=({"on": "submit", "kind": "500", "processed": True},)
    ),
    "wrong clock of Higgsfield": Scenario(
        completed,
        around("correction"),
        faults=(
            {"on": "submit", "kind": "429", "headers": {"Retry-After": "2", "Date": IN_AN_HOUR}},
            {
                "on": "status",
                "status": 404,
                "body": {"detail": "Not found"},
                "headers": {"Date": IN_AN_HOUR},
                "times": 3,
            },
        ),
    ),
    "adopted": Scenario(adopted, (*all_of("status call"), *around("claim"))),
    "refused": Scenario(refused, around("refused"), faults=({"on": "submit", "kind": "422"},)),
    "canceled": Scenario(
        canceled,
        (*around("cancel asked", "reported by cancel"), *all_of("cancel call")),
        options={"queue_seconds": 1_000.0},
        faults=({"on": "submit", "delay": 1.0},),
    ),
    "estimate to deletion": Scenario(
        estimate_to_deletion,
        (
            *around("migration", "reported by poll", "record", "delete", "removal"),
            *around("gRPC answer", "gRPC message"),
            *all_of("estimate call", "status call", "delete call"),
        ),
    ),
    "over HTTP": Scenario(over_http, around("HTTP answer", "HTTP message")),
    # A start asks for a status as well.
    "not found for a moment": Scenario(
        completed, around("missing"), faults=({"on": "status", "kind": "404", "times": 3},)
    ),
    "ended by a webhook": Scenario(completed, around("reported by webhook"), settings=BY_WEBHOOK, options=FAST),
    "found by a webhook": Scenario(
        ended_by_webhook,
        around("delivery", "webhook processed", "webhook answer", "accepted by webhook"),
        settings=BY_WEBHOOK | NO_REPEATS,
        options=FAST,
    ),
    "named": Scenario(named, around("accepted by operator"), settings=NO_REPEATS),
    "resolved": Scenario(resolved, around("expired by operator"), settings=NO_REPEATS),
    "given up": Scenario(
        given_up, around("expired by gateway"), settings=NO_REPEATS | {"uncertain_timeout": "1"}, beside=(1,)
    ),
    "uploaded": Scenario(uploaded, all_of("upload call", "storage call"), charges=(0,)),
    "archived": Scenario(
        archived_and_removed,
        (
            *around("archive planned", "archive postponed", "archived", "archive removed"),
            *all_of("media call"),
        ),
        settings={"archive_url": "file://{folder}/archive"},
        faults=({"on": "media", "kind": "503"},),
    ),
    "called back": Scenario(
        callbacks_received,
        (
            *around(
                "callback", "callback changed", "deliveries taken", "delivery attempted", "delivery dropped",
                "redelivery",
            ),
            *all_of("callback call"),
        ),
        charges=(2,),
    ),
    "catalog": Scenario(catalog_listed, (*around("catalog"), *all_of("catalog call")), charges=(0,)),
    "agent conversation": Scenario(
        agent_conversation,
        (
            *around("agent session", "agent message", "agent message bound"),
            *all_of("agent session call", "agent messages call", "agent message call", "agent interrupt call"),
        ),
        options={"agent_seconds": 0.1},
        charges=(0,),
    ),
    "busy agent session": Scenario(
        busy_agent_session,
        around("agent message refused"),
        faults=({"on": "agent_send", "kind": "409"},),
        charges=(0,),
    ),
    "agent media": Scenario(
        agent_media_uploaded, (*around("agent media"), *all_of("agent media call", "agent confirm call")), charges=(0,)
    ),
    "API keys": Scenario(keys_made_and_revoked, around("api key", "revocation", "mark"), charges=(0,)),
    "account": Scenario(
        account_added_and_used,
        around("account", "claim"),
        settings={"accounts_key": "c2VjcmV0IGtleSBvZiB0aGUgdGVzdHMgMDEyMzQ1Njc="},
        options={"credentials": f"sandbox:sandbox {SECOND_ACCOUNT}"},
    ),
    "limits": Scenario(limits_set_and_used, around("limits", "claim", "reported by poll")),
    "trained": Scenario(
        trained, (*around("character bound"), *all_of("character call", "characters call"))
    ),
    "trained with a lost response": Scenario(
        trained, ("after train call", "before character bound"), faults=({"on": "train", "processed": True},)
    ),
    "ambiguous training": Scenario(
        ambiguous_training, (*around("character claim"), *all_of("train call")), charges=(0, 1)
    ),
    "training refused": Scenario(
        training_refused, around("character freed"), faults=({"on": "train", "kind": "422"},), charges=(0, 1)
    ),
    "character deleted": Scenario(
        character_deleted, (*around("character removal", "character gone"), *all_of("character removal call"))
    ),
    "retention": Scenario(
        forgotten, around("prune"), settings={"retention": "3600"}, ready=one_has_ended, beside=(1,)
    ),
}  # fmt: skip
