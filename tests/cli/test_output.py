"""Text from outside on a terminal: shown, never obeyed, and never taken for another line."""

from __future__ import annotations

import json

from clients.python.tests.scripted_gateway import ScriptedGateway, generation, refusal
from gateway.cli.output import plain
from hfgateway.v1 import generation_service_pb2 as pb
from tests.cli.conftest import Command

STEERS = "\x1b]0;owned\x07\x1b[2J\n01false\tCOMPLETED\r\u202e"
SHOWN = r"\x1b]0;owned\x07\x1b[2J\n01false\tCOMPLETED\r\u202e"


def steering() -> pb.ListGenerationsResponse:
    """What an older gateway may have stored."""
    one = generation("FAILED", 3, "g1", labels={"color": STEERS}, model_id=STEERS, outputs=[{"url": STEERS}])
    one.failure.message = STEERS
    return pb.ListGenerationsResponse(generations=[one])


async def test_a_table_has_one_line_for_each_row(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("ListGenerations", steering())
    ended = await hfgateway("list")
    (line,) = ended.out.splitlines()
    cells = line.split("\t")
    assert (cells[0], cells[2], cells[5]) == ("g1", SHOWN, f"color={SHOWN}")


async def test_one_generation_is_shown_line_by_line(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("GetGeneration", pb.GetGenerationResponse(generation=steering().generations[0]))
    ended = await hfgateway("get", "g1")
    assert "\x1b" not in ended.out + ended.err
    assert f"labels    color={SHOWN}" in ended.out.splitlines()


async def test_an_error_says_what_a_server_said_in_one_line(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("GetGeneration", refusal("INTERNAL", "INTERNAL", STEERS))
    ended = await hfgateway("get", "g1")
    assert "\x1b" not in ended.err
    assert len(ended.err.splitlines()) == 1


async def test_json_is_what_it_was(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("ListGenerations", steering())
    ended = await hfgateway("list", "--json")
    assert json.loads(ended.out)["labels"]["color"] == STEERS
    assert "\x1b" not in ended.out


def test_what_is_printable_stays() -> None:
    assert plain("größe=✓ 日本") == "größe=✓ 日本"
