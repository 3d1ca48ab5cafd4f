"""`hfgateway agents` as a process: its output, how it resumes, and its exit codes."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from clients.python.tests.scripted_gateway import ScriptedGateway, refusal
from hfgateway.agents.v1alpha1 import agent_service_pb2 as pb
from tests.cli.conftest import Command, finish, interrupt


def session(state: str) -> pb.WatchSessionResponse:
    return pb.WatchSessionResponse(session=pb.Session(id="s1", state=f"SESSION_STATE_{state}"))


def says(text: str, state: str = "PROCESSING", id: str = "m2", reasoning: str = "") -> pb.WatchSessionResponse:
    return pb.WatchSessionResponse(
        message=pb.Message(id=id, text=text, state=f"MESSAGE_STATE_{state}", role="ROLE_ASSISTANT", reasoning=reasoning)
    )


def sent(*, replayed: bool = False) -> pb.SendMessageResponse:
    return pb.SendMessageResponse(message=pb.Message(id="m1", role="ROLE_USER"), replayed=replayed)


CREATED = pb.CreateSessionResponse(session=pb.Session(id="s1"))
ANSWER: list[Any] = [
    session("PROCESSING"), says("", reasoning="Thinking."), says("Do", reasoning="Thinking.\nDrawing."),
    says("Done", "COMPLETED", reasoning="Thinking.\nDrawing."), session("IDLE"),
]  # fmt: skip
QUESTION: list[Any] = [says("Which colour?"), session("AWAITING_INPUT")]


async def test_answers_go_to_stdout_and_reasoning_to_stderr(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("CreateSession", CREATED)
    gateway.on("SendMessage", sent())
    gateway.on("WatchSession", ANSWER)

    ended = await hfgateway("agents", "ask", "a fox")

    assert (ended.code, ended.out) == (0, "Done\n")
    assert ended.err.splitlines() == ["session s1", "Thinking.", "Drawing."]
    (request,) = gateway.requests["SendMessage"]
    assert (request.session_id, request.text) == ("s1", "a fox")


async def test_ask_accepts_a_session_and_a_key(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("SendMessage", sent(replayed=True))
    gateway.on("WatchSession", ANSWER)
    ended = await hfgateway("agents", "ask", "--session", "s7", "--key", "k", "a fox")
    (request,) = gateway.requests["SendMessage"]
    assert (ended.code, request.session_id, request.idempotency_key) == (0, "s7", "k")
    assert "nothing was sent" in ended.err
    assert gateway.requests["CreateSession"] == []


async def test_json_prints_one_line_per_change(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("SendMessage", sent())
    gateway.on("WatchSession", ANSWER)
    ended = await hfgateway("agents", "ask", "--session", "s1", "--json", "a fox")
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert [line.get("text", line.get("state")) for line in lines][-2:] == ["Done", "SESSION_STATE_IDLE"]
    assert len(lines) == 5


async def test_an_unanswered_question_prints_the_command_to_answer(
    gateway: ScriptedGateway, hfgateway: Command
) -> None:
    gateway.on("SendMessage", sent())
    gateway.on("WatchSession", QUESTION)
    ended = await hfgateway("agents", "ask", "--session", "s1", "a fox")
    assert (ended.code, ended.out) == (1, "Which colour?\n")
    assert "hfgateway agents ask --session s1 ANSWER" in ended.err


async def test_a_question_can_be_answered_on_a_terminal(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("SendMessage", sent(), sent())
    gateway.on("WatchSession", QUESTION, ANSWER)
    keyboard, terminal = os.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            *hfgateway.arguments("agents", "ask", "--session", "s1", "a fox"),
            stdin=terminal,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=hfgateway.environment,
        )
        os.write(keyboard, b"red\n")
        ended = await finish(process)
    finally:
        os.close(terminal)
        os.close(keyboard)
    assert (ended.code, ended.out) == (0, "Which colour?\nDone\n")
    assert [one.text for one in gateway.requests["SendMessage"]] == ["a fox", "red"]


async def test_a_failed_turn_is_reported_and_exits_with_1(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("SendMessage", sent())
    gateway.on("WatchSession", [says("No", "FAILED"), session("IDLE")])
    ended = await hfgateway("agents", "ask", "--session", "s1", "a fox")
    assert (ended.code, ended.out) == (1, "No\n")
    assert ended.err == "The turn failed or was interrupted: the answer may not be complete.\n"


async def test_a_turn_without_an_answer_is_reported_and_exits_with_1(
    gateway: ScriptedGateway, hfgateway: Command
) -> None:
    gateway.on("SendMessage", sent())
    gateway.on("WatchSession", [session("IDLE")])
    ended = await hfgateway("agents", "ask", "--session", "s1", "a fox")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "The turn ended without an answer.\n"


async def test_a_timeout_leaves_the_turn_running(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("SendMessage", sent())
    gateway.on("WatchSession", [says("Do"), gateway.hang])
    ended = await hfgateway("agents", "ask", "--session", "s1", "--key", "k", "--timeout", "2", "a fox")
    assert ended.code == 6
    assert "--key k" in ended.err


async def test_a_busy_session_is_refused(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("SendMessage", refusal("ABORTED", "SESSION_BUSY", "a turn is running"))
    ended = await hfgateway("agents", "ask", "--session", "s1", "a fox")
    assert (ended.code, ended.out) == (3, "")
    assert "SESSION_BUSY" in ended.err


async def test_a_turn_that_cannot_be_followed_is_not_called_refused(
    gateway: ScriptedGateway, hfgateway: Command
) -> None:
    error = refusal("UNAUTHENTICATED", "INVALID_CREDENTIALS", "the API key was revoked")
    for seen in [session("PROCESSING"), error], [error]:
        gateway.on("SendMessage", sent())
        gateway.on("WatchSession", seen)
        ended = await hfgateway("agents", "ask", "--session", "s1", "--key", "mine", "a fox")
        assert ended.code == 5
        assert ended.err.endswith(
            "The turn continues. To find out without being charged twice: hfgateway agents ask "
            "--session s1 --key mine 'a fox'\n"
        )


async def test_the_message_after_a_turn_ends_it(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("SendMessage", sent(replayed=True))
    later = pb.WatchSessionResponse(message=pb.Message(id="m3", text="and a cat", role="ROLE_USER"))
    gateway.on("WatchSession", [session("AWAITING_INPUT"), says("Done", "COMPLETED"), later, says("No", id="m4")])
    ended = await hfgateway("agents", "ask", "--session", "s1", "--key", "mine", "a fox")
    assert (ended.code, ended.out) == (0, "Done\n")


async def test_a_refused_repetition_of_a_lost_message_is_no_refusal(
    gateway: ScriptedGateway, hfgateway: Command
) -> None:
    revoked = refusal("UNAUTHENTICATED", "INVALID_CREDENTIALS", "the API key was revoked")
    gateway.on("SendMessage", refusal("UNAVAILABLE", "GATEWAY_UNAVAILABLE", "is stopping"), revoked)
    ended = await hfgateway("agents", "ask", "--session", "s1", "--key", "mine", "a fox")
    assert ended.code == 5
    assert ended.err.endswith("hfgateway agents ask --session s1 --key mine 'a fox'\n")


async def test_an_unresolved_message_prints_the_command_to_repeat(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("SendMessage", refusal("ABORTED", "SUBMISSION_UNRESOLVED", "no answer", retry_delay=60))
    ended = await hfgateway("agents", "ask", "--session", "s1", "--key", "k", "a fox")
    assert ended.code == 5
    assert "hfgateway agents ask --session s1 --key k 'a fox'" in ended.err


async def test_a_message_whose_response_was_lost_prints_the_command_to_repeat(
    gateway: ScriptedGateway, hfgateway: Command
) -> None:
    """The first response was lost, and then Higgsfield could not be asked for what the key has created."""
    away = refusal("UNAVAILABLE", "UPSTREAM_UNAVAILABLE", "no usable response", retry_delay=60)
    gateway.on("SendMessage", gateway.cut, away)
    ended = await hfgateway("agents", "ask", "--session", "s1", "a fox")
    assert ended.code == 8
    key = gateway.requests["SendMessage"][0].idempotency_key
    assert f"hfgateway agents ask --session s1 --key {key} 'a fox'" in ended.err


async def test_a_chat_sends_each_line_of_stdin(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("CreateSession", CREATED)
    gateway.on("SendMessage", sent(), sent())
    gateway.on("WatchSession", QUESTION, ANSWER)
    process = await asyncio.create_subprocess_exec(
        *hfgateway.arguments("agents", "chat"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=hfgateway.environment,
    )
    assert process.stdin is not None
    process.stdin.write(b"a fox\n\nred\n")
    process.stdin.close()
    ended = await finish(process)
    assert (ended.code, ended.out) == (0, "Which colour?\nDone\n")
    assert [one.text for one in gateway.requests["SendMessage"]] == ["a fox", "red"]
    assert "hfgateway agents chat --session s1" in ended.err


async def test_ctrl_c_does_not_interrupt_the_turn(gateway: ScriptedGateway, hfgateway: Command) -> None:
    watching = asyncio.Event()

    async def watched(_request: object) -> None:
        watching.set()
        await gateway.hang()

    gateway.on("SendMessage", sent())
    gateway.on("WatchSession", [watched])
    process = await hfgateway.start("agents", "ask", "--session", "s1", "--key", "k", "a fox")
    await watching.wait()
    ended = await interrupt(process)
    assert ended.code == 130
    assert "The turn continues" in ended.err
    assert gateway.requests["InterruptSession"] == []


async def test_a_chat_refuses_a_line_that_is_not_utf_8(gateway: ScriptedGateway, hfgateway: Command) -> None:
    for variables in ({"PYTHONIOENCODING": "utf-8"}, {"LC_ALL": "C"}):  # in C, Python replaces such bytes by surrogates
        process = await asyncio.create_subprocess_exec(
            *hfgateway.arguments("agents", "chat"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=hfgateway.environment | variables,
        )
        assert process.stdin is not None
        process.stdin.write(b"a caf\xe9\n")
        process.stdin.close()
        ended = await finish(process)
        assert (ended.code, ended.out, ended.err) == (2, "", "error: standard input is not text in UTF-8\n")
    assert gateway.requests["CreateSession"] == []
