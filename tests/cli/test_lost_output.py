"""Standard output that is a closed pipe or a full disk: the commands say how to continue, and with which key."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clients.python.tests.scripted_gateway import ScriptedGateway, change, generation
from clients.python.tests.test_characters import change as trained
from clients.python.tests.test_characters import character, created
from gateway.cli.exit_codes import USAGE
from gateway.cli.output import OutputWriteError, flush
from hfgateway.v1 import callback_service_pb2, character_service_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from tests.cli.conftest import Command, Finished, finish
from tests.cli.test_agents import ANSWER, sent
from tests.cli.test_generate import OUTPUTS, URL, submitted
from tests.support import forked

LOST = 9
CLOSED, FULL = "a closed pipe", "/dev/full"
WATCH = "The generation continues. Watch it with: hfgateway watch g1"
SHOW = "The generation has ended. Show it with: hfgateway watch g1"


@contextmanager
def broken(kind: str) -> Iterator[int]:
    """A descriptor that cannot be written."""
    if kind == CLOSED:
        reading, writing = os.pipe()
        os.close(reading)
    else:
        writing = os.open(FULL, os.O_WRONLY)
    yield writing
    os.close(writing)


async def run(hfgateway: Command, kind: str, *arguments: str, folder: Path = forked.ROOT) -> Finished:
    """Run a command whose standard output is broken."""
    with broken(kind) as out:
        process = await asyncio.create_subprocess_exec(
            *hfgateway.arguments(*arguments),
            stdout=out,
            stderr=asyncio.subprocess.PIPE,
            env=hfgateway.environment,
            cwd=folder,
        )
    return await finish(process)


@pytest.fixture(params=[CLOSED, FULL])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_a_command_without_standard_streams_does_its_work(gateway: ScriptedGateway, hfgateway: Command) -> None:
    """A shell closes them with `<&- >&-`. A file or a socket would get the number of a closed one."""
    gateway.on("ListGenerations", pb.ListGenerationsResponse(generations=[generation("COMPLETED", 3)]))
    shell = ("/bin/sh", "-c", 'exec "$@" <&- >&-', "sh")
    process = await asyncio.create_subprocess_exec(
        *shell, *hfgateway.arguments("list"), stderr=asyncio.subprocess.PIPE, env=hfgateway.environment
    )
    ended = await finish(process)
    assert (ended.code, ended.err) == (0, "")


async def test_generate_says_how_to_continue_without_being_charged_twice(
    gateway: ScriptedGateway, hfgateway: Command, kind: str
) -> None:
    gateway.on("SubmitGeneration", submitted())
    gateway.unscripted["WatchGeneration"] = [gateway.hang]
    ended = await run(hfgateway, kind, "generate", "a fox", "--json")
    (request,) = gateway.requests["SubmitGeneration"]
    assert ended.code == LOST
    error, *advice = ended.err.splitlines()
    assert error.startswith("error: the output cannot be written: ")
    assert advice == [
        f"Idempotency key: {request.idempotency_key} (with another key it would be charged again)",
        WATCH,
    ]


async def test_the_links_of_a_completed_generation_can_be_shown_again(
    gateway: ScriptedGateway, hfgateway: Command, kind: str
) -> None:
    gateway.on("SubmitGeneration", submitted("COMPLETED", 2, outputs=OUTPUTS))
    ended = await run(hfgateway, kind, "generate", "a fox", "--key", "order-7")
    assert ended.code == LOST
    assert "Idempotency key: order-7 " in ended.err
    assert ended.err.endswith(f"{SHOW}\n")


async def test_a_generation_that_has_failed_keeps_its_exit_code(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("SubmitGeneration", submitted("NSFW", 2))
    ended = await run(hfgateway, FULL, "generate", "a fox", "--json")
    assert (ended.code, SHOW in ended.err) == (1, True)


async def test_watch_says_how_to_continue(gateway: ScriptedGateway, hfgateway: Command, kind: str) -> None:
    found = generation("QUEUED", 2, idempotency_key="order-7")
    gateway.on("GetGeneration", pb.GetGenerationResponse(generation=found))
    ended = await run(hfgateway, kind, "watch", "g1", "--json")
    assert ended.code == LOST
    assert "Idempotency key: order-7 " in ended.err
    assert ended.err.endswith(f"{WATCH}\n")


@pytest.mark.parametrize(
    ("options", "state"),
    [((), "continues"), (("--json",), "continues"), (("--wait", "--json"), "continues"), (("--wait",), "has ended")],
)
async def test_characters_create_says_how_to_continue(
    gateway: ScriptedGateway, hfgateway: Command, options: tuple[str, ...], state: str
) -> None:
    gateway.on("CreateCharacter", created())
    gateway.on("WatchCharacter", [trained("QUEUED"), trained("COMPLETED")])
    ended = await run(hfgateway, CLOSED, "characters", "create", "Anna", "https://a.test/1", *options)
    (request,) = gateway.requests["CreateCharacter"]
    assert ended.code == LOST
    assert f"Idempotency key: {request.idempotency_key} " in ended.err
    last = ended.err.splitlines()[-1]
    assert last.startswith(f"The training {state}. ")
    assert last.endswith(": hfgateway characters watch c1")


async def test_characters_watch_says_how_to_continue(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("GetCharacter", character_service_pb2.GetCharacterResponse(character=character()))
    gateway.on("WatchCharacter", [trained("QUEUED"), gateway.hang])
    ended = await run(hfgateway, FULL, "characters", "watch", "c1", "--json")
    assert (ended.code, "hfgateway characters watch c1" in ended.err) == (LOST, True)


@pytest.mark.parametrize("options", [(), ("--json",)])
async def test_agents_ask_says_how_to_continue(
    gateway: ScriptedGateway, hfgateway: Command, kind: str, options: tuple[str, ...]
) -> None:
    gateway.on("SendMessage", sent())
    gateway.on("WatchSession", ANSWER)
    ended = await run(hfgateway, kind, "agents", "ask", "a fox", "--session", "s1", *options)
    (request,) = gateway.requests["SendMessage"]
    assert ended.code == LOST
    assert f"hfgateway agents ask --session s1 --key {request.idempotency_key} 'a fox'" in ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("generate", "a fox"),
        ("watch", "g1"),
        ("characters", "create", "Anna", "https://a.test/1"),
        ("characters", "watch", "c1"),
        ("agents", "ask", "a fox", "--session", "s1"),
    ],
    ids=" ".join,
)
async def test_a_printed_command_calls_the_same_gateway_as_the_same_caller(
    gateway: ScriptedGateway, hfgateway: Command, arguments: tuple[str, ...]
) -> None:
    """Another gateway does not know the key, nor does another tenant: a character could be charged twice."""
    gateway.on("SubmitGeneration", submitted())
    gateway.on("GetGeneration", pb.GetGenerationResponse(generation=generation("QUEUED", 2)))
    gateway.unscripted["WatchGeneration"] = [gateway.hang]
    gateway.on("CreateCharacter", created())
    gateway.on("GetCharacter", character_service_pb2.GetCharacterResponse(character=character()))
    gateway.on("WatchCharacter", [trained("QUEUED"), gateway.hang])
    gateway.on("SendMessage", sent())
    gateway.on("WatchSession", ANSWER)
    hfgateway.environment |= {"HFGATEWAY_ADDRESS": "127.0.0.1:1", "HFGATEWAY_API_KEY": "hfg_other"}
    given = ("--gateway", gateway.address, "--api-key", "hfg_secret", "--insecure")

    ended = await run(hfgateway, FULL, *arguments, *given, "--json")

    assert ended.code == LOST
    assert ended.err.endswith(f" --gateway {gateway.address} --api-key KEY --insecure\n")
    assert "hfg_" not in ended.err


async def test_a_command_that_only_reads_ends_quietly_when_its_reader_has_left(
    gateway: ScriptedGateway, hfgateway: Command
) -> None:
    gateway.unscripted["ListGenerations"] = pb.ListGenerationsResponse(generations=[generation("QUEUED", 1)])
    ended = await run(hfgateway, CLOSED, "list")
    assert (ended.code, ended.err) == (LOST, "")
    ended = await run(hfgateway, FULL, "list")
    assert (ended.code, ended.err) == (LOST, "error: the output cannot be written: No space left on device\n")


async def test_a_script_that_cannot_be_written_is_no_traceback(hfgateway: Command) -> None:
    for kind, said in ((CLOSED, ""), (FULL, "error: the output cannot be written: No space left on device\n")):
        ended = await run(hfgateway, kind, "completion", "bash")
        assert (ended.code, ended.err) == (LOST, said)


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("keys", "list", "--help")])
async def test_help_that_cannot_be_written_is_no_traceback(hfgateway: Command, arguments: tuple[str, ...]) -> None:
    for kind, said in ((CLOSED, ""), (FULL, "error: the output cannot be written: No space left on device\n")):
        ended = await run(hfgateway, kind, *arguments)
        assert (ended.code, ended.err) == (LOST, said)


@pytest.mark.parametrize(
    "arguments", [("backup", "copy.db"), ("migrate",), ("migrate", "--moved"), ("migrate", "--restored")]
)
async def test_what_was_done_to_a_store_and_cannot_be_written_is_no_traceback(
    hfgateway: Command, tmp_path: Path, kind: str, arguments: tuple[str, ...]
) -> None:
    """The output of a container is not buffered, so that each line can fail."""
    hfgateway.environment |= {"HFGATEWAY_STORE_URL": f"sqlite:///{tmp_path}/store.db", "PYTHONUNBUFFERED": "1"}
    assert (await hfgateway("keys", "create", "--offline", "--tenant", "shop")).code == 0
    ended = await run(hfgateway, kind, *arguments, folder=tmp_path)
    said = "" if kind == CLOSED else "error: the output cannot be written: No space left on device\n"
    assert (ended.code, ended.err) == (LOST, said)


@pytest.mark.parametrize("command", ["create", "rotate"])
async def test_a_new_key_that_cannot_be_shown_can_be_revoked(
    hfgateway: Command, tmp_path: Path, kind: str, command: str
) -> None:
    hfgateway.environment |= {"HFGATEWAY_STORE_URL": f"sqlite:///{tmp_path}/store.db"}
    offline = ("keys", "create", "--tenant", "shop", "--offline")
    first = (await hfgateway(*offline)).out.split("_")[1]
    ended = await run(hfgateway, kind, *(offline if command == "create" else ("keys", "rotate", first, "--offline")))
    listed = [line.split("\t")[0] for line in (await hfgateway("keys", "list", "--offline")).out.splitlines()]
    (made,) = set(listed) - {first}
    assert ended.code == LOST
    assert ended.err.endswith(f"its text is lost. Revoke it: hfgateway keys revoke {made} --offline\n")


@pytest.mark.parametrize(
    "arguments", [("create", "https://a.test/hook"), ("create",), ("create", "--json"), ("rotate", "cb1")]
)
async def test_a_new_secret_of_a_callback_that_cannot_be_shown_can_be_replaced(
    gateway: ScriptedGateway, hfgateway: Command, kind: str, arguments: tuple[str, ...]
) -> None:
    made = callback_service_pb2.Callback(id="cb1")
    gateway.on("CreateCallback", callback_service_pb2.CreateCallbackResponse(callback=made, secret="whsec_1"))
    gateway.on("RotateCallbackSecret", callback_service_pb2.RotateCallbackSecretResponse(secret="whsec_2"))
    ended = await run(hfgateway, kind, "callbacks", *arguments)
    assert ended.code == LOST
    assert ended.err.endswith("is not shown again. Make another one: hfgateway callbacks rotate cb1\n")


def test_output_that_is_written_at_the_end_is_not_lost_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(FULL).open("w", encoding="utf-8") as full:  # its end would fail if the output still led there
        monkeypatch.setattr(sys, "stdout", full)
        print("a result")
        with pytest.raises(OutputWriteError):
            flush()


async def test_progress_that_cannot_be_written_does_not_end_a_command(
    gateway: ScriptedGateway, hfgateway: Command, kind: str
) -> None:
    gateway.on("SubmitGeneration", submitted())
    gateway.on("WatchGeneration", [change("QUEUED", 2), change("COMPLETED", 3, outputs=OUTPUTS)])
    with broken(kind) as err:
        process = await asyncio.create_subprocess_exec(
            *hfgateway.arguments("generate", "a fox"),
            stdout=asyncio.subprocess.PIPE,
            stderr=err,
            env=hfgateway.environment,
        )
    ended = await finish(process)
    assert (ended.code, ended.out) == (0, f"{URL}\n")


async def test_a_terminal_that_goes_away_does_not_end_a_command(gateway: ScriptedGateway, hfgateway: Command) -> None:
    """As when a command that runs in the background outlives its window."""
    closed = asyncio.Event()

    async def wait(_request: object) -> pb.WatchGenerationResponse:
        await closed.wait()
        return change("COMPLETED", 3, outputs=OUTPUTS)

    gateway.on("SubmitGeneration", submitted())
    gateway.on("WatchGeneration", [wait])
    ours, its = os.openpty()
    process = await asyncio.create_subprocess_exec(
        *hfgateway.arguments("generate", "a fox"),
        stdout=asyncio.subprocess.PIPE,
        stderr=its,
        env=hfgateway.environment | {"TERM": "xterm-256color"},
    )
    os.close(its)
    shown = b""
    while b"g1" not in shown:
        shown += await asyncio.wait_for(asyncio.to_thread(os.read, ours, 65536), 60)
    os.close(ours)
    closed.set()
    ended = await finish(process)
    assert (ended.code, ended.out) == (0, f"{URL}\n")


async def test_wrong_usage_that_cannot_be_explained_keeps_its_exit_code(hfgateway: Command, kind: str) -> None:
    """With 1, a script would take it for a generation that has failed."""
    with broken(kind) as err:
        process = await asyncio.create_subprocess_exec(
            *hfgateway.arguments("generate", "a fox", "--unknown"),
            stdout=asyncio.subprocess.PIPE,
            stderr=err,
            env=hfgateway.environment,
        )
    assert (await finish(process)).code == USAGE


async def test_without_any_output_the_exit_code_still_says_that_the_generation_has_not_ended(
    gateway: ScriptedGateway, hfgateway: Command
) -> None:
    gateway.on("SubmitGeneration", submitted())
    gateway.unscripted["WatchGeneration"] = [gateway.hang]
    with broken(CLOSED) as out:
        process = await asyncio.create_subprocess_exec(
            *hfgateway.arguments("generate", "a fox", "--json"), stdout=out, stderr=out, env=hfgateway.environment
        )
    assert (await finish(process)).code == LOST
