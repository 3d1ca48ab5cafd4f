"""`hfgateway callbacks` as a process against a gateway, and the Python client's `verify_webhook`."""

from __future__ import annotations

import asyncio
import json
import os

import pytest

from hfgateway_client import Client, WebhookError, verify_webhook
from tests.callbacks.receiver import Receiver, finished, settles
from tests.support import forked
from tests.support.running import WAIT_TIMEOUT, Running


async def command(running: Running, *arguments: str) -> tuple[int, list[str]]:
    """Run the command; return its exit code and the lines of its output."""
    environment = {**os.environ, "HFGATEWAY_GRPC_ADDRESS": running.gateway.grpc_address}
    process = await forked.start("callbacks", *arguments, environment=environment)
    async with asyncio.timeout(WAIT_TIMEOUT):
        out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode().splitlines()


async def test_the_command_covers_the_whole_life_of_a_callback(running: Running, receiver: Receiver) -> None:
    code, (name, secret) = await command(running, "create", receiver.url, "--label", "team=red", "--key", "one")
    assert code == 0
    assert await command(running, "test", name) == (0, ["DELIVERED"])
    receiver.got[0].verify(secret)
    receiver.plan.append(500)
    assert await command(running, "test", name) == (1, ["FAILED: status 500"])

    await finished(running, "a fox", labels={"team": "red"})
    (delivery,) = await settles(running, name, 1)
    assert await command(running, "deliveries", name) == (0, [f"{delivery.id}\tDELIVERED"])
    assert await command(running, "deliveries", name, "--failed") == (0, [])
    assert await command(running, "redeliver", delivery.id) == (0, [f"{delivery.id} is due"])
    await receiver.gets(4)

    assert await command(running, "list") == (0, [f"{name}\tactive\tends\t{receiver.url}"])
    await command(running, "pause", name)
    code, (line,) = await command(running, "list", "--json")
    assert json.loads(line)["paused"]
    await command(running, "resume", name)
    _, (new,) = await command(running, "rotate", name)
    assert new.startswith("whsec_")
    assert await command(running, "delete", name) == (0, [f"{name} deleted"])
    assert await command(running, "list") == (0, [])
    assert (await command(running, "test", name))[0] == 3


async def test_a_callback_without_a_url_is_listed_as_such(running: Running, receiver: Receiver) -> None:
    code, (name, secret) = await command(running, "create")
    assert code == 0
    await finished(running, "a fox", callback_url=receiver.url)
    (delivery,) = await settles(running, name, 1)
    receiver.got[0].verify(secret)
    assert await command(running, "list") == (0, [f"{name}\tactive\tends\tthe URL of each submission"])
    assert await command(running, "deliveries", name) == (0, [f"{delivery.id}\tDELIVERED"])


async def test_the_python_client_creates_callbacks_and_verifies_webhooks(running: Running, receiver: Receiver) -> None:
    def created() -> tuple[str, str]:
        with Client(running.gateway.grpc_address) as client:
            made = client.create_callback(receiver.url, every_change=True, states=["COMPLETED"])
            assert [callback.id for callback in client.list_callbacks()] == [made.callback.id]
            assert client.update_callback(made.callback.id, labels={}).filter.states == []
            return made.callback.id, made.secret

    name, secret = await asyncio.to_thread(created)
    done = await finished(running, "a fox")
    await settles(running, name, done.revision)
    for revision, got in enumerate(receiver.got, start=1):
        generation = verify_webhook(secret, got.headers, got.body)
        assert (generation.id, generation.revision) == (done.id, revision)

    got = receiver.got[-1]
    renamed = {name.title(): value for name, value in got.headers.items()}
    assert verify_webhook(secret, renamed, got.body) == generation
    sent = float(got.headers["webhook-timestamp"])
    for wrong in (
        lambda: verify_webhook("whsec_" + "A" * 44, got.headers, got.body),
        lambda: verify_webhook(secret, got.headers, got.body + b" "),
        lambda: verify_webhook(secret, {**got.headers, "webhook-id": "x"}, got.body),
        lambda: verify_webhook(secret, {**got.headers, "webhook-signature": "v1a,AAAA"}, got.body),
        lambda: verify_webhook(secret, {}, got.body),
        lambda: verify_webhook(secret, got.headers, got.body, now=sent + 301),
        lambda: verify_webhook(secret, got.headers, got.body, now=sent - 301),
    ):
        with pytest.raises(WebhookError):
            wrong()
