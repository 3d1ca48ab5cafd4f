"""`hfgateway generate` and `watch` as processes: their output and exit codes."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from clients.python.tests.scripted_gateway import Refusal, ScriptedGateway, change, generation, refusal
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.error_pb2 import Failure, FieldViolation
from tests.cli.conftest import Command, finish, interrupt

URL = "https://cdn.test/a.png"
OUTPUTS = [{"state": "GENERATION_STATE_COMPLETED", "url": URL}]


def submitted(state: str = "PENDING", revision: int = 1, **fields: object) -> pb.SubmitGenerationResponse:
    return pb.SubmitGenerationResponse(generation=generation(state, revision, **fields))


@pytest.fixture
async def file_server(gateway: ScriptedGateway) -> AsyncIterator[tuple[str, list[web.Request]]]:
    seen: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(body=b"a picture", content_type="image/png")

    application = web.Application()
    application.router.add_get("/{name}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", seen
    await runner.cleanup()


async def test_progress_goes_to_stderr_and_links_to_stdout(gateway: ScriptedGateway, hfgateway: Command) -> None:
    full = Failure(message="Higgsfield is full")
    gateway.on("SubmitGeneration", submitted())
    gateway.on("WatchGeneration", [change("PENDING", 2, delay=full), change("COMPLETED", 3, outputs=OUTPUTS)])

    given = ("-p", "seed=7", "-p", "version=v2", "--label", "order=7", "--callback-url", "https://shop.example/hook")
    ended = await hfgateway("generate", "a lighthouse", *given)

    assert (ended.code, ended.out) == (0, f"{URL}\n")
    assert "waits: Higgsfield is full" in ended.err
    assert "COMPLETED  g1" in ended.err
    (request,) = gateway.requests["SubmitGeneration"]
    assert (request.input.soul.prompt, request.input.soul.seed) == ("a lighthouse", 7)
    assert request.labels == {"order": "7"}
    assert request.callback_url == "https://shop.example/hook"


async def test_warnings_of_the_gateway_go_to_stderr(gateway: ScriptedGateway, hfgateway: Command) -> None:
    doubts = [
        FieldViolation(field="input.model.parameters.duration", description="must be at most 15"),
        FieldViolation(field="input.model.parameters.\x1b[2J", description="is not known"),
    ]
    stored = generation("COMPLETED", 1, outputs=OUTPUTS)
    gateway.on("SubmitGeneration", pb.SubmitGenerationResponse(generation=stored, warnings=doubts))
    gateway.on("EstimateGeneration", pb.EstimateGenerationResponse(description="by the second", warnings=doubts))

    generated = await hfgateway("generate", "a lighthouse", "--json")
    estimated = await hfgateway("estimate", "a lighthouse")

    for ended in (generated, estimated):
        assert ended.code == 0
        assert [line for line in ended.err.splitlines() if "warning" in line] == [
            "warning: input.model.parameters.duration: must be at most 15",
            "warning: input.model.parameters.\\x1b[2J: is not known",
        ]
    assert json.loads(generated.out)["id"] == "g1"
    assert estimated.out == "by the second\n"


async def test_json_prints_only_one_line_per_change(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("SubmitGeneration", submitted())
    gateway.on("WatchGeneration", [change("QUEUED", 2), change("COMPLETED", 3, outputs=OUTPUTS)])

    ended = await hfgateway("generate", "a lighthouse", "--json")

    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert [line["state"].removeprefix("GENERATION_STATE_") for line in lines] == ["PENDING", "QUEUED", "COMPLETED"]
    assert lines[-1]["outputs"][0]["url"] == URL
    assert ended.err == ""


async def test_a_generation_without_outputs_says_where_the_rest_is(
    gateway: ScriptedGateway, hfgateway: Command
) -> None:
    gateway.on("SubmitGeneration", submitted("COMPLETED", 3))
    ended = await hfgateway("generate", "a fox")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.endswith("There are no outputs. See what Higgsfield returned: hfgateway get g1\n")


async def test_outputs_are_saved_without_credentials(
    gateway: ScriptedGateway, hfgateway: Command, file_server: tuple[str, list[web.Request]], tmp_path: Path
) -> None:
    base, seen = file_server
    outputs = [{"url": f"{base}/a.webp"}, {"state": "GENERATION_STATE_NSFW"}, {"url": f"{base}/b"}]
    gateway.on("SubmitGeneration", submitted("COMPLETED", 2, outputs=outputs))

    ended = await hfgateway("generate", "x", "--save", str(tmp_path / "new"), "--api-key", "hfg_secret")

    assert ended.code == 0
    assert ended.out.splitlines() == [str(tmp_path / "new" / name) for name in ("g1-1.webp", "g1-3.png")]
    assert {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()} == {
        "g1-1.webp": b"a picture",
        "g1-3.png": b"a picture",
    }
    assert gateway.metadata["authorization"] == "Bearer hfg_secret"
    assert all("authorization" not in request.headers for request in seen)


@pytest.mark.parametrize("ending", [("COMPLETED", 7), ("IN_PROGRESS", 6)])
async def test_an_output_that_cannot_be_saved_is_printed_as_its_link(
    gateway: ScriptedGateway,
    hfgateway: Command,
    file_server: tuple[str, list[web.Request]],
    tmp_path: Path,
    ending: tuple[str, int],
) -> None:
    state, code = ending
    base, _ = file_server
    outputs = [{"url": f"{base}/a.webp?Signature=b"}, {"url": f"{base}/c.webp"}]
    gateway.on("SubmitGeneration", submitted(state, 2, outputs=outputs))
    gateway.on("WatchGeneration", [gateway.hang])
    folder = tmp_path / "my pictures"
    (folder / "g1-1.webp").mkdir(parents=True)  # no file can replace it, not even as root

    ended = await hfgateway("generate", "x", "--timeout", "0.2", "--save", str(folder), "--gateway", gateway.address)

    assert ended.code == code
    assert ended.out.splitlines() == [f"{base}/a.webp?Signature=b", str(folder / "g1-2.webp")]
    assert f"Try again with: hfgateway watch g1 --save '{folder}' --gateway {gateway.address}\n" in ended.err
    assert "output 1 cannot be saved" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("name", ["/proc/x", "lighthouse.png"])
async def test_a_wrong_folder_is_refused_before_the_submission(
    gateway: ScriptedGateway, hfgateway: Command, name: str
) -> None:
    ended = await hfgateway("generate", "x", "--save", name)

    assert ended.code == 2
    assert f"--save {name}" in ended.err or f"{name} looks like a file" in ended.err
    assert "SubmitGeneration" not in gateway.requests


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (change("FAILED", 2, failure={"message": "the model gave up"}, accept_time={"seconds": 1}), 1),
        (change("NSFW", 2, failure={"message": "moderated"}), 1),
        (change("FAILED", 2, failure={"message": "no such style"}), 3),
        (change("LOST", 2, failure={"message": "nothing told"}), 5),
    ],
)
async def test_every_end_has_its_exit_code_and_one_error_line(
    gateway: ScriptedGateway, hfgateway: Command, end: pb.WatchGenerationResponse, code: int
) -> None:
    gateway.on("SubmitGeneration", submitted())
    gateway.on("WatchGeneration", [end])

    ended = await hfgateway("generate", "x", "--model", "a/b", "-p", 'list=[1,"2"]')

    assert (ended.code, ended.out) == (code, "")
    assert len([line for line in ended.err.splitlines() if line.startswith("error: ")]) == 1
    assert gateway.requests["SubmitGeneration"][0].input.model.parameters["list"][1] == "2"


@pytest.mark.parametrize(
    "error",
    [
        refusal("UNAUTHENTICATED", "INVALID_CREDENTIALS", "the API key was revoked"),
        refusal("NOT_FOUND", "NOT_FOUND", "no such generation"),  # a restore of the gateway's store has forgotten it
    ],
)
async def test_a_generation_that_cannot_be_followed_is_not_called_refused(
    gateway: ScriptedGateway, hfgateway: Command, error: Refusal
) -> None:
    """It may complete, and a script would submit a refused one again with another key."""
    gateway.on("SubmitGeneration", submitted("QUEUED", idempotency_key="order-7"))
    gateway.on("GetGeneration", pb.GetGenerationResponse(generation=generation("QUEUED", 1)))
    gateway.on("WatchGeneration", [error], [error])

    ended = await hfgateway("generate", "x", "--key", "order-7")
    watched = await hfgateway("watch", "g1")

    assert (ended.code, ended.out) == (5, "")
    assert "Idempotency key: order-7" in ended.err
    for one in (ended, watched):
        assert one.code == 5
        assert one.err.endswith("The generation continues. Watch it with: hfgateway watch g1\n")


async def test_only_numbers_of_json_are_numbers(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("SubmitGeneration", submitted())
    gateway.on("WatchGeneration", [change("COMPLETED", 3)])
    await hfgateway("generate", "x", "--model", "a/b", "-p", "title=Infinity", "-p", "name=NaN", "-p", "seed=7")
    sent = gateway.requests["SubmitGeneration"][0].input.model.parameters
    assert (sent["title"], sent["name"], sent["seed"]) == ("Infinity", "NaN", 7)


async def test_a_refusal_prints_one_line_with_the_fields(gateway: ScriptedGateway, hfgateway: Command) -> None:
    answer = refusal("INVALID_ARGUMENT", "INVALID_INPUT", "1 field is wrong", input__soul__seed="1 to 1,000,000")
    gateway.on("SubmitGeneration", answer)

    ended = await hfgateway("generate", "x", "-p", "seed=0")

    assert ended.code == 3
    assert ended.err == "error: INVALID_INPUT: 1 field is wrong (input.soul.seed: 1 to 1,000,000)\n"


async def test_what_was_certainly_not_sent_is_not_doubted(
    hfgateway: Command, file_server: tuple[str, list[web.Request]]
) -> None:
    other = file_server[0].removeprefix("http://")
    ended = await asyncio.gather(
        *(hfgateway("generate", "x", "--gateway", address) for address in ("127.0.0.1:1", "::bad::", other)),
        hfgateway("characters", "create", "Ann", "https://a.test/1", "--gateway", other),
        hfgateway("agents", "ask", "hello", "--session", "s1", "--gateway", other),
    )

    for one in ended:
        assert one.code == 4
        assert one.err.startswith("error: no gateway answers at ")
        assert "may have been" not in one.err
    assert [one.err.splitlines()[1:] for one in ended] == [["Nothing was submitted."]] * 3 + [[]] * 2


@pytest.mark.parametrize(
    "error",
    [
        refusal("UNAVAILABLE", "GATEWAY_UNAVAILABLE", "is stopping"),
        replace(refusal("UNKNOWN", "UNSPECIFIED"), details=False),
    ],
)
async def test_a_lost_submission_may_have_been_submitted(
    gateway: ScriptedGateway, hfgateway: Command, error: Refusal
) -> None:
    gateway.unscripted["SubmitGeneration"] = error

    ended = await hfgateway("generate", "x", "--key", "order-7")

    assert ended.code == 4
    assert "may have been submitted" in ended.err
    assert ended.err.endswith("--key order-7\n")


async def test_a_refused_repetition_of_a_lost_submission_is_no_refusal(
    gateway: ScriptedGateway, hfgateway: Command
) -> None:
    """The first attempt may have been stored. A script that took this for a refusal would submit with another key."""
    overloaded = refusal("RESOURCE_EXHAUSTED", "GATEWAY_OVERLOADED", "is overloaded", retry_delay=60)
    revoked = refusal("UNAUTHENTICATED", "INVALID_CREDENTIALS", "the API key was revoked")
    for second, code in (revoked, 5), (overloaded, 4):
        gateway.on("SubmitGeneration", refusal("UNAVAILABLE", "GATEWAY_UNAVAILABLE", "is stopping"), second)
        lost = await hfgateway("generate", "x", "--key", "order-7")
        assert (lost.code, lost.err.endswith("--key order-7\n")) == (code, True)
    gateway.on("SubmitGeneration", overloaded)
    refused = await hfgateway("generate", "x", "--key", "order-7")
    assert (refused.code, refused.err) == (3, "error: GATEWAY_OVERLOADED: is overloaded\n")


async def test_higgsfield_away_is_not_the_gateway_away(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.unscripted["EstimateGeneration"] = refusal(
        "UNAVAILABLE", "UPSTREAM_UNAVAILABLE", "Higgsfield is unavailable"
    )

    ended = await hfgateway("estimate", "x")

    assert (ended.code, ended.err) == (8, "error: UPSTREAM_UNAVAILABLE: Higgsfield is unavailable\n")


async def test_an_unresolved_submission_has_its_own_exit_code(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("SubmitGeneration", refusal("ABORTED", "SUBMISSION_UNRESOLVED", "no answer", retry_delay=60))

    ended = await hfgateway("generate", "x", "--key", "order-7")

    assert (ended.code, "--key order-7" in ended.err) == (5, True)


@pytest.mark.parametrize(
    "error",
    [refusal("INTERNAL", "INTERNAL", "incident 7"), replace(refusal("DATA_LOSS", "UNSPECIFIED"), details=False)],
)
async def test_after_a_defect_the_submission_may_be_stored(
    gateway: ScriptedGateway, hfgateway: Command, error: Refusal
) -> None:
    """It is not a refusal, after which a script would submit again with another key."""
    gateway.on("SubmitGeneration", error)
    ended = await hfgateway("generate", "a fox", "--key", "k1")
    assert ended.code == 5
    assert "may have been submitted" in ended.err
    assert "--key k1" in ended.err


async def test_ctrl_c_while_watching_prints_the_command_to_resume(gateway: ScriptedGateway, hfgateway: Command) -> None:
    watching = asyncio.Event()

    async def reached(_request: object) -> None:
        watching.set()
        await asyncio.Event().wait()

    gateway.on("SubmitGeneration", submitted())
    gateway.on("WatchGeneration", [change("QUEUED", 2), reached])
    process = await hfgateway.start("generate", "x")
    await watching.wait()
    ended = await interrupt(process)

    assert (ended.code, ended.out) == (130, "")
    assert "hfgateway watch g1" in ended.err
    assert "CancelGeneration" not in gateway.requests


async def test_ctrl_c_before_the_response_prints_the_key(gateway: ScriptedGateway, hfgateway: Command) -> None:
    reached = asyncio.Event()

    async def silent(_request: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    gateway.on("SubmitGeneration", silent)
    process = await hfgateway.start("generate", "x")
    await reached.wait()
    ended = await interrupt(process)

    assert ended.code == 130
    assert f"--key {gateway.requests['SubmitGeneration'][0].idempotency_key}" in ended.err


async def test_watch_starts_at_the_current_revision_and_survives_a_disconnect(
    gateway: ScriptedGateway, hfgateway: Command
) -> None:
    gateway.on("GetGeneration", pb.GetGenerationResponse(generation=generation("QUEUED", 2)))
    gateway.on("WatchGeneration", [change("IN_PROGRESS", 3), gateway.cut], [change("COMPLETED", 4, outputs=OUTPUTS)])

    ended = await finish(await hfgateway.start("watch", "g1"))

    assert (ended.code, ended.out) == (0, f"{URL}\n")
    assert [request.after_revision for request in gateway.requests["WatchGeneration"]] == [2, 3]


async def test_a_pipe_gets_a_line_for_each_change_and_for_each_output_once(
    gateway: ScriptedGateway, hfgateway: Command
) -> None:
    """Of a batch, the first outputs are there before its end."""
    gateway.on("SubmitGeneration", submitted("QUEUED", 2, forecast={"queue_position": 3, "progress": 0.5}))
    first = change("IN_PROGRESS", 3, outputs=OUTPUTS, forecast={"progress": 0.5})
    gateway.on("WatchGeneration", [first, change("IN_PROGRESS", 4, outputs=OUTPUTS), change("COMPLETED", 5)])

    ended = await hfgateway("generate", "x")

    assert ended.code == 0
    assert [line.partition("s  ")[2] for line in ended.err.splitlines()[:5]] == [
        "QUEUED  g1  place 3 in the queue",
        "IN_PROGRESS  g1  50%",
        f"output 1  {URL}",
        "IN_PROGRESS  g1",
        "COMPLETED  g1",
    ]


@pytest.mark.parametrize(("state", "code"), [("PENDING", 6), ("QUEUED", 6), ("IN_PROGRESS", 6), ("UNCERTAIN", 5)])
async def test_a_timeout_leaves_the_generation_running(
    gateway: ScriptedGateway, hfgateway: Command, state: str, code: int
) -> None:
    """A script that took this for a failure would submit again under a new key, and pay twice."""
    gateway.on("SubmitGeneration", submitted(state, 2, idempotency_key="order-7"))
    gateway.on("WatchGeneration", [gateway.hang])

    ended = await hfgateway("generate", "x", "--timeout", "0.2")

    assert (ended.code, ended.out) == (code, "")
    assert "error" not in ended.err
    stated = {
        6: "Still running after 0.2 s (exit code 6).",
        5: "After 0.2 s it is still unknown whether Higgsfield accepted it (exit code 5).",
    }
    assert stated[code] in ended.err.splitlines()
    assert "order-7" in ended.err
    assert "hfgateway watch g1" in ended.err
