"""Characters and agent messages in a restored store: unresolved ones are looked up and not sent again."""

from __future__ import annotations

import grpc
import pytest

from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox
from hfgateway.agents.v1alpha1 import agent_service_pb2 as agents_pb
from hfgateway.agents.v1alpha1.agent_service_pb2_grpc import AgentServiceStub
from hfgateway.v1 import character_service_pb2 as characters_pb
from hfgateway.v1.character_service_pb2_grpc import CharacterServiceStub
from tests.app.test_restore import RESTORED, Site, site  # noqa: F401 - a fixture
from tests.durability.process import GatewayProcess

IMAGES = ["https://e.example/a.png"]
TRAIN, LIST = {"on": "train", "kind": "502", "processed": True}, {"on": "characters"}
SAY, READ = {"on": "agent_send", "kind": "502", "processed": True}, {"on": "agent_messages"}
FAILS = {"kind": "500", "times": 3}


async def create(gateway: GatewayProcess) -> characters_pb.CreateCharacterResponse:
    request = characters_pb.CreateCharacterRequest(name="Anna", image_urls=IMAGES, idempotency_key="k")
    async with gateway.channel() as channel:
        answer: characters_pb.CreateCharacterResponse = await CharacterServiceStub(channel).CreateCharacter(
            request, timeout=30
        )
    return answer


async def session(gateway: GatewayProcess) -> str:
    async with gateway.channel() as channel:
        answer = await AgentServiceStub(channel).CreateSession(
            agents_pb.CreateSessionRequest(idempotency_key="s"), timeout=30
        )
    return str(answer.session.id)


async def send(gateway: GatewayProcess, session_id: str) -> agents_pb.SendMessageResponse:
    request = agents_pb.SendMessageRequest(session_id=session_id, text="a fox", idempotency_key="k")
    async with gateway.channel() as channel:
        answer: agents_pb.SendMessageResponse = await AgentServiceStub(channel).SendMessage(request, timeout=30)
    return answer


def plan(sandbox: Sandbox, *faults: dict[str, object]) -> None:
    sandbox.state.plan.add([Fault.parse(fault) for fault in faults])


async def test_unresolved_creations_in_a_backup_are_found_and_not_sent_again(site: Site) -> None:  # noqa: F811
    backup, ledger = site.folder / "backup.db", site.sandbox.ledger
    async with site.gateway() as gateway:
        session_id = await session(gateway)
        # The list is read without a fault before the send; afterwards nothing is found.
        plan(site.sandbox, LIST, LIST | FAILS, TRAIN, READ, READ | FAILS, SAY)
        for in_doubt in (create(gateway), send(gateway, session_id)):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await in_doubt
            assert raised.value.code() is grpc.StatusCode.ABORTED
        listed = await site.done("unresolved", "list")
        assert {line.split("\t")[0] for line in listed.splitlines()} == {"character", "message"}
        site.sandbox.state.plan.clear()
        await site.done("backup", str(backup))
        character, message = (await create(gateway)).character, (await send(gateway, session_id)).message
        assert await site.done("unresolved", "list") == ""
        assert await gateway.terminate() == 0

    site.restore(backup)
    assert RESTORED in await site.refused()
    await site.done("migrate", "--restored")
    async with site.gateway() as gateway:
        assert len((await site.done("unresolved", "list")).splitlines()) == 2
        created, sent = await create(gateway), await send(gateway, session_id)
        assert (created.character.id, created.replayed) == (character.id, True)
        assert (sent.message.id, sent.replayed) == (message.id, True)
        assert await site.done("unresolved", "list") == ""
    assert (len(ledger.trainings), len(ledger.agent_charges)) == (1, 1)


async def test_creations_not_taken_stay_unresolved_for_the_operator(site: Site) -> None:  # noqa: F811
    backup, ledger = site.folder / "backup.db", site.sandbox.ledger
    async with site.gateway() as gateway:
        session_id = await session(gateway)
        plan(site.sandbox, TRAIN | {"processed": False}, SAY | {"processed": False})
        for in_doubt in (create(gateway), send(gateway, session_id)):
            with pytest.raises(grpc.aio.AioRpcError):
                await in_doubt
        await site.done("backup", str(backup))
        await gateway.kill()

    site.restore(backup)
    await site.done("migrate", "--restored")
    async with site.gateway() as gateway:
        for _ in range(2):
            for in_doubt in (create(gateway), send(gateway, session_id)):
                with pytest.raises(grpc.aio.AioRpcError) as raised:
                    await in_doubt
                assert raised.value.code() is grpc.StatusCode.ABORTED
        assert (len(ledger.trainings), len(ledger.agent_charges)) == (1, 0)
        for kind in ("character", "message"):
            assert await site.done("unresolved", kind, "default", "k", "--not-taken") == "resolved\n"
        assert not (await create(gateway)).replayed
        assert not (await send(gateway, session_id)).replayed
    assert (len(ledger.trainings), len(ledger.agent_charges)) == (2, 1)
