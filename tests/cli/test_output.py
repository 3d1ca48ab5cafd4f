"""Untrusted text on a terminal: control characters are escaped, and each text stays on its line."""

from __future__ import annotations

import errno
import io
import json

import pytest

from clients.python.tests.scripted_gateway import ScriptedGateway, generation, refusal
from gateway.__main__ import main
from gateway.cli import exit_codes
from gateway.cli.output import echo, plain
from hfgateway.v1 import generation_service_pb2 as pb
from tests.cli.conftest import Command

CONTROL = "\x1b]0;owned\x07\x1b[2J\n01false\tCOMPLETED\r\u202e"
ESCAPED = r"\x1b]0;owned\x07\x1b[2J\n01false\tCOMPLETED\r\u202e"


def with_control_characters() -> pb.ListGenerationsResponse:
    """Return a list with control characters, as an older gateway may have stored them."""
    one = generation("FAILED", 3, "g1", labels={"color": CONTROL}, model_id=CONTROL, outputs=[{"url": CONTROL}])
    one.failure.message = CONTROL
    return pb.ListGenerationsResponse(generations=[one])


async def test_a_table_has_one_line_for_each_row(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("ListGenerations", with_control_characters())
    ended = await hfgateway("list")
    (line,) = ended.out.splitlines()
    cells = line.split("\t")
    assert (cells[0], cells[2], cells[5]) == ("g1", ESCAPED, f"color={ESCAPED}")


async def test_one_generation_is_shown_line_by_line(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("GetGeneration", pb.GetGenerationResponse(generation=with_control_characters().generations[0]))
    ended = await hfgateway("get", "g1")
    assert "\x1b" not in ended.out + ended.err
    assert f"labels    color={ESCAPED}" in ended.out.splitlines()


async def test_an_error_shows_the_servers_message_in_one_line(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("GetGeneration", refusal("INTERNAL", "INTERNAL", CONTROL))
    ended = await hfgateway("get", "g1")
    assert "\x1b" not in ended.err
    assert len(ended.err.splitlines()) == 1


async def test_json_keeps_control_characters_escaped(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("ListGenerations", with_control_characters())
    ended = await hfgateway("list", "--json")
    assert json.loads(ended.out)["labels"]["color"] == CONTROL
    assert "\x1b" not in ended.out


def test_printable_text_is_unchanged() -> None:
    assert plain("größe=✓ 日本") == "größe=✓ 日本"


def test_text_outside_the_encoding_of_the_terminal_is_escaped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="latin-1", write_through=True))
    monkeypatch.setattr("gateway.__main__.cli.main", lambda **_: echo("a f\u00f6x \U0001f98a"))
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, written.getvalue()) == (0, b"a f\xf6x \\U0001f98a\n")


def test_a_file_that_may_not_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/private/hfgateway.db")

    monkeypatch.setattr("gateway.__main__.cli.main", refuse)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == exit_codes.USAGE
    assert capsys.readouterr().err == "error: /private/hfgateway.db: Permission denied\n"


def test_a_bug_of_a_command_is_not_reported_as_a_failed_generation(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code 1 of an interpreter says so. A script would submit again, and pay again."""

    def fail(**_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("gateway.__main__.cli.main", fail)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == exit_codes.UNRESOLVED
    errors = capsys.readouterr().err
    assert errors.startswith("Traceback ")
    assert errors.endswith("RuntimeError: can't start new thread\n")
