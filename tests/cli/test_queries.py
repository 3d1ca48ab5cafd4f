"""Commands that make one call, and usage errors that make none."""

import asyncio
import json
import os
import pty
import re
import sys
import termios
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner

from clients.python.tests.scripted_gateway import (
    Refusal,
    ScriptedGateway,
    change,
    generation,
    make_certificate,
    refusal,
)
from gateway.cli import COMMANDS, cli, exit_codes
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.catalog_service_pb2 import ListModelsResponse
from hfgateway.v1.error_pb2 import Failure
from tests.cli.conftest import Command
from tests.support.imports import imported

FOUND = pb.ListGenerationsResponse(
    generations=[
        generation(
            "QUEUED", 1, "g2", model_id="a/b", labels={"order": "8"}, create_time={"seconds": 1_700_000_000},
            input={"model": {"model_id": "a/b", "parameters": {"prompt": "a fox", "duration": 5}}},
            estimated_cost={"credits": "2.50"},
        ),
        generation("COMPLETED", 4, "g1", outputs=[{"url": "https://cdn.test/1"}, {}]),
    ],
    next_page_token="more",
)  # fmt: skip


async def test_list_prints_tab_separated_columns(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("ListGenerations", FOUND)

    ended = await hfgateway("list", "--state", "queued", "--state", "COMPLETED", "--model", "a/b", "--limit", "2")

    assert ended.code == 0
    assert [line.split("\t") for line in ended.out.splitlines()] == [
        ["g2", "QUEUED", "a/b", "2023-11-14 22:13:20Z", "", "order=8", "a fox", "2.50 credits"],
        ["g1", "COMPLETED", "", "", "1/2", "", "", ""],
    ]
    (request,) = gateway.requests["ListGenerations"]
    assert (len(request.filter.states), request.filter.model_ids, request.page_size) == (2, ["a/b"], 2)


async def test_list_prints_json_lines(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("ListGenerations", FOUND)

    ended = await hfgateway("list", "--json", "--limit", "1")

    (line,) = ended.out.splitlines()
    assert (json.loads(line)["id"], json.loads(line)["modelId"]) == ("g2", "a/b")
    assert type(json.loads(line)["input"]["model"]["parameters"]["duration"]) is int
    assert gateway.requests["ListGenerations"][0].include_input


async def test_get_shows_the_archived_copies(gateway: ScriptedGateway, hfgateway: Command) -> None:
    outputs = [{"url": "https://cdn.test/1", "archived": {"url": "s3://b/1"}}, {"url": "https://cdn.test/2"}, {}]
    gateway.on("GetGeneration", pb.GetGenerationResponse(generation=generation("COMPLETED", 2, outputs=outputs)))

    ended = await hfgateway("get", "g1")

    assert [line.split() for line in ended.out.splitlines()][2:] == [
        ["output", "https://cdn.test/1"],
        ["archived", "s3://b/1"],
        ["output", "https://cdn.test/2"],
    ]


async def test_get_shows_the_state_the_key_and_the_delay(gateway: ScriptedGateway, hfgateway: Command) -> None:
    waiting = generation("PENDING", 1, idempotency_key="order-7", delay={"message": "no room"})
    gateway.on("GetGeneration", pb.GetGenerationResponse(generation=waiting))

    ended = await hfgateway("get", "g1")

    assert [line.split(maxsplit=1) for line in ended.out.splitlines()] == [
        ["id", "g1"],
        ["state", "PENDING"],
        ["key", "order-7"],
        ["waits", "for no room"],
    ]


async def test_a_refused_cancel_exits_as_refused(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("CancelGeneration", refusal("FAILED_PRECONDITION", "NOT_CANCELABLE", "it is running"))

    ended = await hfgateway("cancel", "g1")

    assert (ended.code, ended.out, ended.err) == (3, "", "error: NOT_CANCELABLE: it is running\n")


async def test_delete_names_what_higgsfield_keeps(gateway: ScriptedGateway, hfgateway: Command) -> None:
    for removed in (True, False):
        gateway.on("DeleteGeneration", pb.DeleteGenerationResponse(removed_upstream=removed))
    gateway.on("DeleteGeneration", refusal("FAILED_PRECONDITION", "NOT_DONE", "it is running"))

    ended = await hfgateway("delete", "g1", "g2", "g3", "g4")

    kept = "g2: deleted in the gateway. Higgsfield keeps any outputs until they expire\n"
    assert (ended.code, ended.out, ended.err) == (3, "", f"{kept}error: NOT_DONE: it is running\n")
    assert [request.id for request in gateway.requests["DeleteGeneration"]] == ["g1", "g2", "g3"]


async def test_a_call_that_an_older_gateway_does_not_know_is_refused(
    gateway: ScriptedGateway, hfgateway: Command
) -> None:
    gateway.on("ExplainGeneration", Refusal(grpc.StatusCode.UNIMPLEMENTED, Failure(), details=False))
    assert (await hfgateway("explain", "g1")).code == exit_codes.REFUSED


async def test_estimate_names_the_price(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("EstimateGeneration", pb.EstimateGenerationResponse(cost={"credits": "1.5", "usd": "0.09"}))

    ended = await hfgateway("estimate", "--dop", "zoom", "--image", "https://a.test/1.png")

    assert ended.out == "1.5 credits (0.09 USD)\n"
    assert gateway.requests["EstimateGeneration"][0].input.dop.image_urls == ["https://a.test/1.png"]


async def test_estimate_names_a_discount_that_is_taken_off(gateway: ScriptedGateway, hfgateway: Command) -> None:
    price = {"cost": {"credits": "5.544", "usd": "0.347"}, "extra": {"discount": {"percentage": "45.00"}}}
    gateway.on("EstimateGeneration", pb.EstimateGenerationResponse(**price))
    assert (await hfgateway("estimate", "a fox")).out == "5.544 credits (0.347 USD), 45.00 % off the list price\n"


async def test_tls_trusts_the_named_authority_only(hfgateway: Command, tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path)
    secured = ScriptedGateway()
    await secured.start(grpc.ssl_server_credentials([(key.read_bytes(), cert.read_bytes())]))
    secured.on("GetGeneration", pb.GetGenerationResponse(generation=generation("QUEUED", 1)))

    trusted = await hfgateway("get", "g1", "--gateway", secured.address, "--tls-ca", str(cert))
    stranger = await hfgateway("get", "g1", "--gateway", secured.address, "--tls")

    await secured.stop()
    assert (trusted.code, stranger.code) == (0, 4)


async def test_a_client_certificate_is_presented_and_its_absence_is_explained(
    hfgateway: Command, tmp_path: Path
) -> None:
    cert, key = make_certificate(tmp_path)
    demanding = ScriptedGateway()
    pairs = [(key.read_bytes(), cert.read_bytes())]
    await demanding.start(grpc.ssl_server_credentials(pairs, cert.read_bytes(), require_client_auth=True))
    demanding.on("GetGeneration", pb.GetGenerationResponse(generation=generation("QUEUED", 1)))
    command = ("get", "g1", "--gateway", demanding.address, "--tls-ca", str(cert))

    without = await hfgateway(*command)
    half = await hfgateway(*command, "--tls-cert", str(cert))
    (tmp_path / "other").mkdir()
    _, other = make_certificate(tmp_path / "other")
    wrong = await hfgateway(*command, "--tls-cert", str(cert), "--tls-key", str(other))
    no_authority = await hfgateway(*command[:-1], str(key))
    other_cert = tmp_path / "other" / cert.name
    untrusted = await hfgateway(*command, "--tls-cert", str(other_cert), "--tls-key", str(other))
    presented = await hfgateway(*command, "--tls-cert", str(cert), "--tls-key", str(key))

    await demanding.stop()
    assert (without.code, half.code, untrusted.code, presented.code) == (4, 2, 4, 0)
    assert without.err.endswith("it may require a client certificate: use --tls-cert FILE and --tls-key FILE\n")
    assert untrusted.err.endswith("it may refuse the client certificate: use a valid one of an authority it trusts\n")
    assert "--tls-cert and --tls-key must be given together" in half.err
    assert (wrong.code, no_authority.code) == (2, 2)
    assert "--tls-key is not the private key of --tls-cert" in wrong.err
    assert "--tls-ca is not a PEM file with certificates" in no_authority.err


async def test_commands_use_the_address_of_the_clients(gateway: ScriptedGateway, hfgateway: Command) -> None:
    """The listen address may be that of another gateway, which runs on this machine."""
    gateway.on("GetGeneration", pb.GetGenerationResponse(generation=generation("QUEUED", 1)))
    hfgateway.environment |= {"HFGATEWAY_ADDRESS": gateway.address, "HFGATEWAY_GRPC_ADDRESS": "127.0.0.1:1"}

    ended = await hfgateway("get", "g1")

    assert (ended.code, "QUEUED" in ended.out) == (0, True)


async def test_a_gateway_that_listens_on_all_addresses_is_called_at_a_loopback_one(
    gateway: ScriptedGateway, hfgateway: Command
) -> None:
    gateway.on("GetGeneration", pb.GetGenerationResponse(generation=generation("QUEUED", 1)))
    everywhere = gateway.address.replace("127.0.0.1", "0.0.0.0")
    hfgateway.environment |= {"HFGATEWAY_GRPC_ADDRESS": everywhere, "HFGATEWAY_API_KEY": "hfg_secret"}

    ended = await hfgateway("get", "g1")

    assert (ended.code, "QUEUED" in ended.out) == (0, True)


async def test_a_key_is_not_sent_in_plaintext_to_another_machine(hfgateway: Command) -> None:
    ended = await hfgateway("get", "g1", "--gateway", "gateway.invalid:443", "--api-key", "hfg_secret")
    assert ended.code == 2
    assert "use --tls, or --insecure" in ended.err
    assert "hfg_secret" not in ended.err


@pytest.mark.parametrize("command", [("get", "g1", "--gateway"), ("keys", "list", "--admin-server")])
async def test_an_impossible_port_is_a_mistake_in_the_usage(hfgateway: Command, command: tuple[str, ...]) -> None:
    ended = await hfgateway(*command, "127.0.0.1:99999", "--api-key", "hfg_secret")
    assert ended.code == 2
    assert ended.err.endswith("Error: 127.0.0.1:99999: its port is above 65535\n")


async def start_http() -> asyncio.Server:
    """Start a server that refuses every request as an HTTP port of a gateway refuses gRPC."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    return await asyncio.start_server(refuse, "127.0.0.1", 0)


async def test_an_unreachable_gateway_is_reported_with_the_cause(
    gateway: ScriptedGateway, hfgateway: Command, tmp_path: Path
) -> None:
    cert, key = make_certificate(tmp_path)
    secured = ScriptedGateway()
    await secured.start(grpc.ssl_server_credentials([(key.read_bytes(), cert.read_bytes())]))
    http = await start_http()
    port = http.sockets[0].getsockname()[1]
    by_name = secured.address.replace("127.0.0.1", "localhost")
    cases = {
        (f"127.0.0.1:{port}",): "it serves HTTP/1.1 and not gRPC, as HFGATEWAY_HTTP_ADDRESS does",
        (secured.address,): "it speaks TLS: use --tls",
        (secured.address, "--tls"): "its certificate is not valid here: self-signed certificate; use --tls-ca FILE",
        (by_name, "--tls-ca", str(cert)): "its certificate is not valid here: Hostname mismatch",
        (gateway.address, "--tls"): "it does not speak TLS: leave out --tls",
        ("127.0.0.1:1",): "Connection refused",
        ("gateway..example:1",): "the host is not a name",
        (".example:1", "--tls"): "the host is not a name",
    }

    ended = await asyncio.gather(*(hfgateway("get", "g1", "--gateway", *options) for options in cases))

    await secured.stop()
    http.close()
    await http.wait_closed()
    for (options, cause), one in zip(cases.items(), ended, strict=True):
        assert (one.code, one.out) == (4, "")
        assert one.err.startswith(f"error: no gateway answers at {options[0]}: {cause}")


async def test_a_mistyped_model_is_answered_with_models_like_it(gateway: ScriptedGateway, hfgateway: Command) -> None:
    unknown = generation("FAILED", 2, model_id="kling/v3/pro", failure={"reason": "ERROR_REASON_MODEL_UNKNOWN"})
    listed = ListModelsResponse(models=[{"id": "kling/v3.0/pro"}, {"id": "higgsfield-ai/soul/standard"}])
    gateway.on("SubmitGeneration", pb.SubmitGenerationResponse(generation=unknown))
    gateway.on("GetModel", refusal("NOT_FOUND", "MODEL_UNKNOWN", "no such model"))
    gateway.unscripted["ListModels"] = listed

    for arguments in (("generate", "x", "--model", "kling/v3/pro"), ("models", "--show", "kling/v3/pro")):
        ended = await hfgateway(*arguments)
        assert ended.code == 3
        assert "Did you mean kling/v3.0/pro?" in ended.err.splitlines()

    gateway.on("SubmitGeneration", refusal("FAILED_PRECONDITION", "PRICE_UNKNOWN", "a budget applies"))
    gateway.on("GetModel", refusal("NOT_FOUND", "MODEL_UNKNOWN", "no such model"))
    ended = await hfgateway("generate", "x", "--model", "kling/v3/pro")
    assert (ended.code, "Did you mean kling/v3.0/pro?" in ended.err.splitlines()) == (3, True)

    gateway.on("GetModel", refusal("NOT_FOUND", "MODEL_UNKNOWN", "no such model"))
    shown = await on_terminal(hfgateway, "generate", "x", "--model", "kling/v3/pro", typed="n\n", code=2)
    assert "kling/v3/pro is not listed. Did you mean kling/v3.0/pro? Submit it anyway?" in " ".join(shown.split())
    assert len(gateway.requests["SubmitGeneration"]) == 2  # those of the commands without a terminal


async def test_parameters_may_have_the_names_that_a_model_shows(gateway: ScriptedGateway, hfgateway: Command) -> None:
    """`hfgateway models --show` prints Higgsfield's names."""
    gateway.on("EstimateGeneration", pb.EstimateGenerationResponse(description="free"))

    await hfgateway("estimate", "x", "-p", "custom_reference_id=c1", "-p", "custom_reference_strength=0.5")

    (request,) = gateway.requests["EstimateGeneration"]
    assert (request.input.soul.character_id, request.input.soul.character_strength) == ("c1", 0.5)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["generate"], "Missing argument 'PROMPT'"),
        (["generate", "x", "--soul", "--dop"], "--soul and --dop exclude each other"),
        (["generate", "x", "--dop"], "--dop needs --image"),
        (["generate", "x", "--speak", "--image", "https://a.test/1"], "--speak needs --image and --audio"),
        (["generate", "x", "--image", "https://a.test/1", "--image", "https://a.test/2"], "--soul accepts one --image"),
        (["generate", "x", "-p", "sed=7"], "-p sed: Did you mean seed? soul has the parameters version"),
        (["generate", "x", "-p", "zzz=7"], "-p zzz: soul has the parameters version"),
        (["lst"], "No such command 'lst'. Did you mean list?"),
        (["list", "--stat", "x"], "Did you mean '--state'?"),
        (["zzz"], "No such command 'zzz'."),
        (["generate", "x", "-p", "width=3", "-p", "seed=[]"], "-p seed: must be a whole number, not []"),
        (["generate", "x", "-p", "seed=abc"], "-p seed: must be a whole number, not abc"),
        (["generate", "x", "-p", "seed=99999999999999"], "-p seed: Value out of range: 99999999999999"),
        (["generate", "x", "-p", "enhance_prompt=3.5"], "-p enhance_prompt: must be true or false, not 3.5"),
        (["generate", "x", "-p", "custom_reference_strength=much"], "-p custom_reference_strength: must be a number"),
        (["generate", "x", "-p", "aspect_ratio=3"], "-p aspect_ratio: must be a text, not 3"),
        (["generate", "x", "-p", "custom_reference_id="], "-p custom_reference_id: must not be empty"),
        (["generate", "x", "-p", "version=v9"], "-p version: must be one of v1, v2, cinema, not v9"),
        (["generate", "x", "-p", "seed"], "'seed' is not NAME=JSON"),
        (["generate", "x", "-p", "function=1"], "-p function: soul has the parameters version"),
        (["generate", "x", "--model", "a/b", "-p", "prompt=y"], "-p prompt: PROMPT sets it already"),
        (
            ["generate", "x", "--image", "https://a.test/1", "-p", "image_reference_url=https://a.test/2"],
            "-p image_reference_url: --image sets it already",
        ),
        (["generate", "x", "--model", "a/b", "-p", "n=" + "[" * 100_000], "n is nested too deeply"),
        (
            ["generate", "x", "--dop", "--image", "https://a.test/1", "-p", "motions=5"],
            "-p motions: must be an object of strengths by motion id, not 5",
        ),
        (["generate", "x", "--timeout", "nan"], "'nan' is not a valid number"),
        (["agents", "ask", "x", "--timeout", "nan"], "'nan' is not a valid number"),
        (["watch", "x", "--timeout", "soon"], "'soon' is not a valid number."),
        (["list", "--limit", "1.5"], "'1.5' is not a valid integer."),
        (["list", "--limit", "9" * 20], f"{'9' * 20} is too large"),
        (["models", "--watch", "--after", "9" * 20], f"{'9' * 20} is too large"),
        (["audit", "export", "--after", "9" * 20], f"{'9' * 20} is too large"),
        (["generate", "x", "--label", "a"], "'a' is not NAME=VALUE"),
        (["list", "--state", "SOON"], "SOON"),
        (["sandbox", "--fail", "lost"], "--fail 'lost' is not KIND=P"),
        (["sandbox", "--fail", "boredom=1"], "unknown fault boredom"),
    ],
)
def test_wrong_usage_is_reported_before_any_call(arguments: list[str], complaint: str) -> None:
    result = CliRunner().invoke(cli, arguments)

    assert result.exit_code == 2
    assert complaint in " ".join(result.output.split())


def test_help_imports_nothing_heavy() -> None:
    script = (
        "from click.testing import CliRunner; from gateway.cli import cli;"
        "results = [CliRunner().invoke(cli, [*name, '--help']) for name in ([], ['generate'], ['list'], ['demo'])];"
        "assert all(result.exit_code == 0 for result in results), results"
    )
    assert imported(script, of={"grpc", "rich", "httpx", "google.protobuf", "aiohttp"}) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_no_line_of_a_list_of_subcommands_is_cut_off(name: str) -> None:
    _, _, subcommands = CliRunner().invoke(cli, [name, "--help"]).output.partition("\nCommands:\n")
    assert "...\n" not in subcommands


def test_every_command_is_in_the_list() -> None:
    output = CliRunner().invoke(cli, ["--help"]).output
    assert all(f"  {name} " in output for name in COMMANDS)


ID = "019ab1f2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"


async def test_a_terminal_of_80_columns_shows_whole_ids_states_and_prompts(
    gateway: ScriptedGateway, hfgateway: Command
) -> None:
    prompts = [f"a lighthouse at dusk, painted by number {number}" for number in range(5)]
    found = [
        generation(
            "IN_PROGRESS", 3, ID, model_id="higgsfield-ai/soul/standard",
            input={"soul": {"prompt": prompt + " x" * 99}},
            create_time={"seconds": 1_700_000_000}, outputs=[{"url": "https://cdn.test/1"}] * 4, labels={"order": "7"},
        )
        for prompt in prompts
    ]  # fmt: skip
    gateway.on("ListGenerations", pb.ListGenerationsResponse(generations=found))

    lines = (await on_terminal(hfgateway, "list")).splitlines()

    assert len(lines) == 2 * len(prompts)
    assert all(len(line) <= 80 for line in lines)
    assert set(lines[::2]) == {f"{ID}  IN_PROGRESS  2023-11-14 22:13:20Z  4/4"}
    for prompt, line in zip(prompts, lines[1::2], strict=True):
        assert line.startswith("  higgsfield-ai/soul/standard  ")
        assert prompt in line


async def test_a_terminal_of_80_columns_shows_queue_place_progress_and_time_left(
    gateway: ScriptedGateway, hfgateway: Command
) -> None:
    queued = generation("PENDING", 1, ID, forecast={"queue_position": 3}, delay={"message": "Higgsfield is full " * 9})
    drawn = asyncio.Event()

    async def await_the_picture(_request: object) -> None:
        await drawn.wait()

    gateway.on("SubmitGeneration", pb.SubmitGenerationResponse(generation=queued))
    gateway.on(
        "WatchGeneration",
        [
            change("IN_PROGRESS", 2, ID),
            pb.WatchGenerationResponse(forecast={"progress": 0.45, "remaining": {"seconds": 21}}),
            await_the_picture,
            change("COMPLETED", 3, ID, outputs=[{"url": "https://cdn.test/[b].png?" + "x" * 100}]),
        ],
    )

    shown = await on_terminal(hfgateway, "generate", "x", until=("45%, about 21 s left", drawn))

    (request,) = gateway.requests["WatchGeneration"]
    assert (request.after_revision, request.HasField("forecast_interval")) == (0, True)
    *pictures, link = shown.splitlines()
    assert link == "https://cdn.test/[b].png?" + "x" * 100
    assert all(len(line) <= 80 for line in pictures)
    assert f"COMPLETED  {ID}" in pictures[-1]


ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x1b]*\x1b\\\\")


async def test_a_terminal_that_cannot_redraw_shows_a_line_for_each_change(
    gateway: ScriptedGateway, hfgateway: Command
) -> None:
    """As the one in which Emacs runs commands."""
    queued = generation("QUEUED", 1, ID, forecast={"progress": 0.45})
    gateway.on("SubmitGeneration", pb.SubmitGenerationResponse(generation=queued))
    gateway.on("WatchGeneration", [change("IN_PROGRESS", 2, ID), change("COMPLETED", 3, ID)])
    shown = await on_terminal(hfgateway, "generate", "x", terminal="dumb")
    assert [line.split()[1:] for line in shown.splitlines()[:3]] == [
        ["QUEUED", ID, "45%"], ["IN_PROGRESS", ID], ["COMPLETED", ID],
    ]  # fmt: skip


async def on_terminal(
    hfgateway: Command,
    *arguments: str,
    until: tuple[str, asyncio.Event] | None = None,
    typed: str = "",
    code: int = 0,
    terminal: str = "xterm-256color",
) -> str:
    """Return the output of the command on a terminal of 80 columns, without its control sequences.

    The event of `until` is set when its text is shown; `typed` is what the user types, `code` the expected exit code.
    """
    ours, its = pty.openpty()
    os.write(ours, typed.encode())
    termios.tcsetwinsize(its, (24, 80))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "gateway", *arguments),
        stdin=its,
        stdout=its,
        stderr=its,
        env=hfgateway.environment | {"TERM": terminal},
    )
    os.close(its)
    shown = b""
    try:
        while chunk := await asyncio.wait_for(asyncio.to_thread(os.read, ours, 65536), 60):
            shown += chunk
            if until is not None and until[0] in shown.decode(errors="replace"):
                until[1].set()
    except OSError:  # Linux reports EIO when the other end is closed
        pass
    finally:
        os.close(ours)
    assert await process.wait() == code
    return ANSI.sub("", shown.decode()).replace("\r\n", "\n")


@pytest.mark.parametrize(
    "arguments",
    [("generate", b"a \xff", "--key", "k"), ("generate", "a fox", "--key", b"k\xff"), ("get", b"\xff"),
     ("list", "--label", b"team=\xff"), ("adopt", b"\xff"), ("characters", "get", b"\xff"),
     ("resolve", b"\xff", "--lost", "--admin-server", "127.0.0.1:1")],
)  # fmt: skip
async def test_an_argument_that_is_no_text_is_a_usage_error(
    gateway: ScriptedGateway, hfgateway: Command, arguments: tuple[str | bytes, ...]
) -> None:
    gateway.on("ListGenerations", pb.ListGenerationsResponse())
    ended = await hfgateway(*map(os.fsdecode, arguments))
    assert (ended.code, ended.out) == (exit_codes.USAGE, "")
    assert "Traceback" not in ended.err
    assert set(gateway.requests) <= {"ListGenerations"}  # which only shows whether a gateway answers
