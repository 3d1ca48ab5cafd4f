"""The v1 API: requests, the parsing of job sets, and which outcomes are certain."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st

from gateway.errors import Reason
from gateway.generations.inputs import (
    SIZES,
    DopInput,
    DopVariant,
    Input,
    ModelInput,
    Motion,
    SoulInput,
    SpeakInput,
    SpeakQuality,
    only_v1,
    violations,
)
from gateway.generations.model import (
    Generation,
    InputKind,
    MediaKind,
    Moment,
    Output,
    RequestId,
    Source,
    Spec,
    State,
    StatusReport,
)
from gateway.generations.ports import MaybeTaken, NotTaken, Taken, WebhookAddress
from gateway.generations.state import Accepted, Reported, advance
from gateway.higgsfield import v1
from gateway.higgsfield.jobsets import read_job_set, read_job_set_id
from gateway.rpc.messages import wire
from gateway.sandbox.faults import Fault
from gateway.store.codec import at_revision, shown
from tests.contract.upstream.test_client import higgsfield, submit

ID, OTHER = "d7e6c0f3-6699-4f6c-bb45-2ad7fd9158ff", "11111111-2222-4333-8444-555555555555"
PORTRAIT, SPEECH = "https://files.example/p.png", "https://files.example/s.wav"
SIZED = SoulInput("a boat", width=2048, height=1152, batch_size=4)
SEVERAL = DopInput("zoom", image_urls=(PORTRAIT, PORTRAIT + "?2"))
SPEAK = SpeakInput(PORTRAIT, SPEECH, "says hello")


# -- Requests ----------------------------------------------------------------------------------------------------------


def image(url: str) -> dict[str, str]:
    return {"type": "image_url", "image_url": url}


BODIES: list[tuple[Input, str, dict[str, Any]]] = [
    (
        SIZED,
        "v1/text2image/soul",
        {"prompt": "a boat", "width_and_height": "2048x1152", "quality": "720p", "batch_size": 4},
    ),
    (
        SoulInput(
            "a boat", width=1152, height=1536, resolution="1080p", style_id="s", style_strength=0.0, character_id="c",
            character_strength=1.0, image_reference_url=PORTRAIT, enhance_prompt=False, seed=7,
        ),
        "v1/text2image/soul",
        {
            "prompt": "a boat", "width_and_height": "1152x1536", "quality": "1080p", "batch_size": 1, "style_id": "s",
            "style_strength": 0.0, "custom_reference_id": "c", "custom_reference_strength": 1.0,
            "image_reference": image(PORTRAIT), "enhance_prompt": False, "seed": 7,
        },
    ),
    (
        SEVERAL,
        "v1/image2video/dop",
        {"model": "dop-turbo", "prompt": "zoom", "input_images": [image(PORTRAIT), image(PORTRAIT + "?2")]},
    ),
    (
        DopInput(
            "zoom", DopVariant.LITE, (PORTRAIT, SPEECH), PORTRAIT, (Motion("m", 0.5), Motion("n")), True, 9,
        ),
        "v1/image2video/dop",
        {
            "model": "dop-lite", "prompt": "zoom", "input_images": [image(PORTRAIT), image(SPEECH)],
            "input_images_end": [image(PORTRAIT)], "enhance_prompt": True, "seed": 9,
            "motions": [{"id": "m", "strength": 0.5}, {"id": "n", "strength": 1}],
        },
    ),
    (
        SPEAK,
        "v1/speak/higgsfield",
        {
            "input_image": image(PORTRAIT), "input_audio": {"type": "audio_url", "audio_url": SPEECH},
            "prompt": "says hello", "quality": "mid", "duration": 5,
        },
    ),
    (
        SpeakInput(PORTRAIT, SPEECH, "says hello", SpeakQuality.HIGH, 15, True, 1),
        "v1/speak/higgsfield",
        {
            "input_image": image(PORTRAIT), "input_audio": {"type": "audio_url", "audio_url": SPEECH},
            "prompt": "says hello", "quality": "high", "duration": 15, "enhance_prompt": True, "seed": 1,
        },
    ),
    (
        ModelInput("v1/text2image/soul", {"batch_size": 4, "seed": None, "webhook": {"url": "x"}}, "v1"),
        "v1/text2image/soul",
        {"batch_size": 4, "seed": None, "webhook": {"url": "x"}},
    ),
    (ModelInput("generate/kling-2-5", {"list": [{"a": None}]}, "v1"), "generate/kling-2-5", {"list": [{"a": None}]}),
]  # fmt: skip


@pytest.mark.parametrize(("given", "model_id", "params"), BODIES)
async def test_v1_inputs_are_sent_under_params_without_a_key(
    given: Input, model_id: str, params: dict[str, Any]
) -> None:
    assert violations(given) == []
    async with higgsfield() as (_, client):
        prepared = client.prepare(given, "the-id", None, WebhookAddress("https://gateway.example/hook", "hush"))
        bare = client.prepare(given, "the-id", None, None)
    assert (prepared.model_id, prepared.api, prepared.request.path) == (model_id, "v1", f"/{model_id}")
    assert (prepared.request.query, dict(prepared.request.headers)) == ("", {"content-type": "application/json"})
    webhook = {"url": "https://gateway.example/hook", "secret": "hush"}
    assert json.loads(prepared.request.body) == {"params": params, "webhook": webhook}
    assert json.loads(bare.request.body) == {"params": params}
    assert prepared.weight == params.get("batch_size", 1)


@pytest.mark.parametrize(
    ("parameters", "outputs"),
    [
        ({}, 1), ({"count": 16}, 16), ({"count": 17}, 17), ({"batch_size": 40}, 40), ({"count": 2**31 - 1}, 2**31 - 1),
        ({"batch_size": 1, "count": 8}, 8), ({"batch_size": 8, "count": 1}, 8),
        ({"count": 0}, None), ({"count": -4}, None), ({"count": 4.5}, None), ({"count": "40"}, None),
        ({"count": True}, None), ({"count": None}, None), ({"count": [40]}, None), ({"count": 10**30}, None),
        ({"batch_size": "40", "count": 2}, None),
    ],
)  # fmt: skip
async def test_a_batch_counts_its_outputs_and_is_sent_as_it_is(parameters: dict[str, Any], outputs: int | None) -> None:
    async with higgsfield() as (_, client):
        given = ModelInput("v1/text2image/keyframes", parameters, "v1")
        prepared = client.prepare(given, "the-id", None, None)
    assert (prepared.outputs, prepared.weight) == (outputs, min(outputs or 1, 4))
    assert json.loads(prepared.request.body) == {"params": parameters}


@pytest.mark.parametrize("given", [SoulInput("a boat", batch_size=4), DopInput("zoom", image_urls=(PORTRAIT,))])
async def test_v2_inputs_are_sent_to_v2_with_a_key(given: Input) -> None:
    assert only_v1(given) is None
    async with higgsfield() as (_, client):
        prepared = client.prepare(given, "the-id", None, WebhookAddress("https://gateway.example/hook", "hush"))
    assert (prepared.api, prepared.request.headers["idempotency-key"]) == ("v2", "the-id")
    assert b"hush" not in prepared.request.body + prepared.request.query.encode()


def test_all_13_sizes_are_accepted() -> None:
    assert len(set(SIZES)) == 13
    for width, height in SIZES:
        assert violations(SoulInput("a boat", width=width, height=height)) == []


@pytest.mark.parametrize("ending", ["s.wav", "s.WAV", "s", "s.mp3/of", "s?as=.mp3", "s.v2", "mp3"])
def test_an_audio_url_that_may_be_a_wav_is_accepted(ending: str) -> None:
    assert violations(SpeakInput(PORTRAIT, f"https://files.example/{ending}", "hello")) == []


@pytest.mark.parametrize(
    ("model", "location", "path"),
    [
        (v1.SOUL, ["body", "params", "width_and_height"], "input.soul.width"),
        (v1.SOUL, ["body", "params", "image_reference", "image_url"], "input.soul.image_reference_url"),
        (v1.SOUL, ["body", "params", "custom_reference_id"], "input.soul.character_id"),
        (v1.SOUL, ["body", "params"], "input.soul"),
        (v1.DOP, ["body", "params", "input_images", 1, "image_url"], "input.dop.image_urls[1]"),
        (v1.DOP, ["body", "params", "input_images_end", 0, "image_url"], "input.dop.end_image_url"),
        (v1.DOP, ["body", "params", "motions", 0, "id"], "input.dop.motions[0].motion_id"),
        (v1.DOP, ["body", "params", "model"], "input.dop.variant"),
        (v1.SPEAK, ["body", "params", "input_audio", "audio_url"], "input.speak.audio_url"),
        (v1.SPEAK, ["body", "params", "duration"], "input.speak.duration_seconds"),
        (v1.SPEAK, ["params", "new"], "input.speak.new"),
        (
            InputKind.V1_MODEL,
            ["body", "params", "images", 0, "image_url"],
            "input.model.parameters.images[0].image_url",
        ),
    ],
)
def test_fields_of_v1_map_to_fields_of_the_api(model: str, location: list[str | int], path: str) -> None:
    assert v1.field_path(InputKind(model), location) == path


# -- Job sets ----------------------------------------------------------------------------------------------------------


def job(status: object, number: int = 1, **fields: Any) -> dict[str, Any]:
    done = {name: {"type": "image", "url": f"https://a/{number}.{name}.png"} for name in ("raw", "min")}
    results = done if status == "completed" else None
    name = str(UUID(int=number))
    return {"id": name, "job_set_type": "text2image_soul", "status": status, "results": results} | fields


def job_set(*jobs: object, **fields: Any) -> bytes:
    params = {"prompt": "canary"}
    return json.dumps({"id": ID, "type": "text2image_soul", "jobs": jobs, "input_params": params} | fields).encode()


def of(*statuses: str) -> bytes:
    return job_set(*(job(status, number) for number, status in enumerate(statuses)))


Q, P, C, F, N, X = "queued", "in_progress", "completed", "failed", "nsfw", "canceled"


@pytest.mark.parametrize(
    ("statuses", "state"),
    [
        ([Q], State.QUEUED),
        ([Q, Q, Q, Q], State.QUEUED),
        ([P, Q, Q, Q], State.IN_PROGRESS),
        ([C, Q, Q, Q], State.IN_PROGRESS),
        ([C, C, C, P], State.IN_PROGRESS),
        ([F, N, X, P], State.IN_PROGRESS),
        ([C, C, C, C], State.COMPLETED),
        ([F, F, N, C], State.COMPLETED),
        ([F, X, N, F], State.NSFW),
        ([X, X, X, X], State.CANCELED),
        ([X, X, X, F], State.FAILED),
        ([F, F, F, F], State.FAILED),
        (["resting"], None),
        ([Q, "resting"], None),
        ([C, "resting"], State.IN_PROGRESS),
        ([F, "resting"], State.IN_PROGRESS),
        ([], None),
    ],
)
def test_a_job_set_ends_when_every_job_has_ended(statuses: list[str], state: State | None) -> None:
    report = read_job_set(of(*statuses), "c-1", ())
    assert report is not None
    assert (report.request_id, report.state, report.correlation_id) == (ID, state, "c-1")
    assert len(report.outputs) == len(statuses)
    assert report.status == ", ".join(dict.fromkeys(statuses))
    reasons = {State.FAILED: Reason.GENERATION_FAILED, State.NSFW: Reason.MODERATED}
    assert (report.failure.reason if report.failure else None) == (reasons.get(state) if state else None)


def test_each_job_is_an_output_with_its_own_state() -> None:
    report = read_job_set(of(C, F, N, X, P, Q), "", ())
    assert report is not None
    found = [(output.state, output.url, output.preview_url) for output in report.outputs]
    assert found[0] == (State.COMPLETED, "https://a/0.raw.png", "https://a/0.min.png")
    ends = (State.FAILED, State.NSFW, State.CANCELED, State.IN_PROGRESS, State.QUEUED)
    assert found[1:] == [(state, "", "") for state in ends]
    assert {(output.kind, output.name) for output in report.outputs} == {(MediaKind.IMAGE, "image")}


@pytest.mark.parametrize("name", [None, 5, "", "x" * 101, "\n", str(UUID(int=1))])
def test_jobs_with_missing_or_duplicate_ids_are_distinguished(name: object) -> None:
    report = read_job_set(job_set(job(C), job(C, 2, id=name), job(P, 3, id=name)), "", ())
    assert report is not None
    assert len({output.job for output in report.outputs}) == len(report.outputs) == 3
    assert all(output.job.isprintable() and len(output.job) <= 100 for output in report.outputs)


def test_more_jobs_than_any_batch_has_are_not_read() -> None:
    report = read_job_set(of(*["queued"] * 150), "", ())
    assert report is not None
    assert len(report.outputs) == 100


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"results": {"raw": {"type": "video", "url": "https://a/x"}}}, MediaKind.VIDEO),
        ({"results": {"raw": {"type": "Video", "url": "https://a/x"}}}, MediaKind.VIDEO),
        ({"results": {"raw": {"url": "https://a/x"}}, "job_set_type": "image2video"}, MediaKind.VIDEO),
        ({"results": {"min": {"type": "audio", "url": "https://a/x"}}}, MediaKind.AUDIO),
        ({"results": {"raw": {"type": "mesh", "url": "https://a/x"}}}, MediaKind.FILE),
        ({"results": {"raw": {"url": "https://a/x"}}, "job_set_type": 5}, MediaKind.IMAGE),
    ],
)
def test_the_kind_comes_from_the_file_or_the_job(fields: dict[str, Any], kind: MediaKind) -> None:
    report = read_job_set(job_set(job(C, **fields)), "", ())
    assert report is not None
    assert [(output.kind, output.url) for output in report.outputs] == [(kind, "https://a/x")]


def test_the_kind_of_an_undescribed_file_is_unknown() -> None:
    nameless = job(C, results={"raw": {"url": "https://a/x"}}, job_set_type="speak")
    report = read_job_set(job_set(nameless, type="speak"), "", ())
    assert report is not None
    assert [(output.kind, output.name) for output in report.outputs] == [(MediaKind.UNKNOWN, "")]


UNREADABLE: list[object] = [
    None, [], "x", 5, {}, {"raw": None}, {"raw": "https://a/x"}, {"raw": {"url": 5}},
    {"raw": {"url": "javascript:alert(1)"}}, {"raw": {"url": "file:///etc/passwd"}},
]  # fmt: skip


@pytest.mark.parametrize("results", UNREADABLE)
def test_an_unreadable_file_is_kept_as_another_result(results: object) -> None:
    report = read_job_set(job_set(job(C, results=results)), "", ())
    assert report is not None
    assert (report.state, report.outputs) == (State.COMPLETED, ())
    unread = job(C, results=results)
    assert report.other_results == {"type": "text2image_soul", "jobs": [unread]}
    some = read_job_set(job_set(job(C, results=results), job(P, 2)), "", ())
    assert some is not None
    assert [output.state for output in some.outputs] == [State.IN_PROGRESS] * 2
    assert some.other_results is not None
    assert some.other_results["jobs"][0] == {name: value for name, value in unread.items() if name != "id"}


def test_the_files_of_a_running_job_are_no_outputs() -> None:
    results = {name: {"type": "image", "url": f"https://a/{name}.png"} for name in ("min", "raw")}
    report = read_job_set(job_set(job(P, results=results)), "", ())
    assert report is not None
    assert [(output.state, output.url, output.preview_url) for output in report.outputs] == [
        (State.IN_PROGRESS, "", "")
    ]
    assert report.other_results is not None
    assert report.other_results["jobs"][0]["results"] == results


def test_unknown_fields_are_kept_and_the_input_apart_from_them() -> None:
    report = read_job_set(job_set(job(C), cost={"credits": 3}), "", ())
    assert report is not None
    rest = {"type": "text2image_soul", "jobs": [{"job_set_type": "text2image_soul"}], "cost": {"credits": 3}}
    assert report.other_results == rest
    assert report.used_input == {"prompt": "canary"}
    assert "canary" not in str(report.response())


def test_errors_are_redacted() -> None:
    said = "no: hush-hush, see https://a/?token=canary"
    report = read_job_set(job_set(job(F, error=said), job(F, 2)), "", ("hush-hush",))
    assert report is not None
    assert report.failure is not None
    assert report.failure.message == "no: [removed], see https://a/?[removed]"
    odd = read_job_set(job_set(job("hush-hush" * 40)), "", ("hush-hush",))
    assert odd is not None
    assert "hush" not in odd.status
    assert len(odd.status) <= 100


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"id": 5, "jobs": []}', b"<html>", b"[" * 100_000, b'{"id": "\\ud800"}']
)
def test_an_invalid_job_set_is_read_as_none(body: bytes) -> None:
    assert read_job_set(body, "", ()) is None
    assert read_job_set_id(body, "") is None
    assert read_job_set_id(body, ID) == ID


def test_a_lone_surrogate_does_not_hide_the_end() -> None:
    report = read_job_set(job_set(job(C), x="?").replace(b'"?"', b'"\\ud800"'), "", ())
    assert report is not None
    assert report.state is State.COMPLETED
    assert report.other_results is not None
    assert report.other_results["x"] == "\ufffd"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.sampled_from([C, P, F, ID]),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(
            st.sampled_from(["id", "jobs", "status", "results", "raw", "min", "url", "type", "error", "x"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=30,
)


@given_any(st.lists(JSON, max_size=5), JSON)
def test_any_job_set_is_read_stored_and_shown(jobs: list[object], type_: object) -> None:
    report = read_job_set(job_set(*jobs, type=type_), "", ())
    assert report is not None
    assert len(report.outputs) <= len(jobs)
    for output in report.outputs:
        assert bool(output.url) is (output.state is State.COMPLETED)
    for generation in followed(of(Q, Q), of(C, P), job_set(*jobs, type=type_)):
        assert at_revision(generation, generation.revision, shown(generation)) == generation
        assert wire.shown(generation, include_input=True)


@pytest.mark.parametrize(
    ("body", "known", "found"),
    [
        (of(C), "", ID),
        (of(C), OTHER, ID),
        (json.dumps({"event": "done", "data": json.loads(of(C))}).encode(), "", ID),
        (json.dumps({"job_set_id": ID, "id": OTHER}).encode(), OTHER, ID),
        (json.dumps({"id": ID, "status": "completed"}).encode(), OTHER, OTHER),
        (json.dumps({"id": ID, "status": "completed"}).encode(), "", ID),
        (json.dumps({"request_id": ID}).encode(), "", ID),
        (json.dumps({"jobs": [{"id": OTHER}]}).encode(), "", None),
        (json.dumps({"a": {"b": {"c": {"job_set_id": ID}}}}).encode(), "", None),
    ],
)
def test_a_webhook_names_its_job_set_or_belongs_to_the_known_one(body: bytes, known: str, found: str | None) -> None:
    assert read_job_set_id(body, known) == found


# -- Sequences of reports ----------------------------------------------------------------------------------------------


def followed(*reports: bytes) -> list[Generation]:
    """Return a generation after each of these responses."""
    spec = Spec("g", "t", v1.SOUL, "v1", "a", "o", b"", {}, "k", 0.0, 0.0)
    generations = [Generation(spec, state=State.PENDING)]
    for number, body in enumerate(reports):
        report = read_job_set(body, "", ())
        assert report is not None
        news = Reported(report, Source.POLL) if number else Accepted(report)
        generations.append(advance(generations[-1], news, Moment(number, number)) or generations[-1])
    return generations[1:]


def states(generation: Generation) -> list[str]:
    return [output.state.name for output in generation.outputs]


def test_outputs_keep_their_place_and_go_back_to_no_earlier_state() -> None:
    first, second = job(C, 0), job(P, 1)
    seen = followed(of(Q, Q), job_set(second, first), of(Q, Q), of(C, C))
    assert [states(one) for one in seen] == [
        ["QUEUED", "QUEUED"], ["COMPLETED", "IN_PROGRESS"], ["COMPLETED", "IN_PROGRESS"], ["COMPLETED", "COMPLETED"],
    ]  # fmt: skip
    assert seen[-1].state is State.COMPLETED
    assert [one.outputs[0].url for one in seen[1:]] == ["https://a/0.raw.png"] * 3


def test_an_unreadable_file_leaves_no_output() -> None:
    seen = followed(of(Q, Q), of(C, P), job_set(job(C, 0), job(C, 1, results=None)))
    assert (seen[-1].state, states(seen[-1])) == (State.COMPLETED, ["COMPLETED"])
    alone = followed(of(Q), job_set(job(C, 0, results=None)))
    assert (alone[-1].state, states(alone[-1])) == (State.COMPLETED, [])


# -- Over a socket -----------------------------------------------------------------------------------------------------


def of_v1(request_id: str, account: str) -> Generation:
    spec = Spec("g", "t", v1.SOUL, "v1", account, "", b"", {}, "k", 0.0, 0.0)
    return Generation(spec, state=State.QUEUED, request_id=request_id)


@pytest.mark.parametrize("given", [SIZED, SEVERAL, SPEAK])
async def test_a_job_set_is_submitted_and_polled_to_its_end(given: Input) -> None:
    quick = {"queue_seconds": 0.01, "image_seconds": 0.01, "video_seconds": 0.01}
    async with higgsfield(**quick) as (sandbox, client):
        outcome = await submit(client, given)
        assert isinstance(outcome, Taken)
        one = of_v1(outcome.report.request_id, client.account)
        report = await client.status(one)
        while report is not None and report.state is not State.COMPLETED:
            report = await client.status(one)
        assert report is not None
        assert len(report.outputs) == (4 if given is SIZED else 1)
        assert all(output.url and output.preview_url for output in report.outputs)
        assert await client.status(one, RequestId(str(uuid4()))) is None
        summary = sandbox.ledger.summary()
        assert (summary["charge_count"], summary["refund_count"], summary["foreign_headers"]) == (1, 0, {})


@pytest.mark.parametrize("refusal", [{}, {"on": "status", "status": 405, "body": {"detail": "Method Not Allowed"}}])
async def test_a_job_set_that_v1_does_not_serve_is_read_as_a_request(refusal: dict[str, Any]) -> None:
    quick = {"queue_seconds": 0.0, "image_seconds": 0.0, "serve_job_sets": bool(refusal)}
    async with higgsfield(**quick) as (sandbox, client):
        outcome = await submit(client, SIZED)
        assert isinstance(outcome, Taken)
        one = of_v1(outcome.report.request_id, client.account)
        if refusal:
            sandbox.state.plan.add([Fault.parse(refusal)])
        report = await client.status(one)
        assert report is not None
        assert (report.request_id, report.state, len(report.outputs)) == (one.request_id, State.COMPLETED, 4)
        of_v2 = await submit(client)
        assert isinstance(of_v2, Taken)
        assert await client.status(one, of_v2.report.request_id) is None


@pytest.mark.parametrize("state", [State.FAILED, State.COMPLETED])
def test_a_status_without_jobs_leaves_no_unfinished_output(state: State) -> None:
    spec = Spec("g", "t", v1.SOUL, "v1", "a", "", b"", {}, "k", 0.0, 0.0)
    jobs = read_job_set(job_set(job(Q, 0), job(Q, 1)), "", ())
    assert jobs is not None
    running = advance(Generation(spec, sends=1), Accepted(jobs), Moment(0.0, 0.0))
    assert running is not None
    files = (
        (Output(State.COMPLETED, MediaKind.IMAGE, "https://files.example/1.png"),) if state is State.COMPLETED else ()
    )
    ended = advance(running, Reported(StatusReport(ID, "word", state, files), Source.POLL), Moment(1.0, 1.0))
    assert ended is not None
    assert (ended.state, ended.outputs) == (state, files)


async def test_a_job_set_on_a_path_of_v2_is_followed_as_a_request() -> None:
    """Only the form of the input says that an id without jobs is that of a job set."""
    async with higgsfield(queue_seconds=0.0, image_seconds=0.0) as (sandbox, client):
        body = job_set(job(Q, 0)).decode()
        sandbox.state.plan.add([Fault.parse({"on": "submit", "kind": "200", "body": body})])
        outcome = await submit(client)
        assert isinstance(outcome, Taken)
        assert (outcome.report.request_id, outcome.report.state) == (ID, State.QUEUED)
        for other in ({"id": ID}, {"id": ID, "jobs": []}):
            sandbox.state.plan.add([Fault.parse({"on": "submit", "kind": "200", "body": json.dumps(other)})])
            assert isinstance(await submit(client), MaybeTaken)
            sandbox.state.plan.add([Fault.parse({"on": "submit", "kind": "200", "body": json.dumps(other)})])
            assert isinstance(await submit(client, ModelInput("generate/kling-2-5", {}, "v1")), Taken)


@pytest.mark.parametrize("left_out", ["type", "input_params", "created_at"])
def test_optional_fields_of_a_job_set_may_be_missing(left_out: str) -> None:
    whole = json.loads(job_set(job(Q), type="text2image_soul", created_at="2026-05-27T00:00:00Z", input_params={}))
    del whole[left_out]
    report = read_job_set(json.dumps(whole).encode(), "", ())
    assert report is not None
    assert (report.request_id, report.state) == (ID, State.QUEUED)


@pytest.mark.parametrize("given", [SIZED, SEVERAL, SPEAK])
@pytest.mark.parametrize("kind", ["500", "502", "503", "html", "reset", "close", "half", "garbage", "lost"])
async def test_a_submission_that_may_be_charged_is_ambiguous(given: Input, kind: str) -> None:
    async with higgsfield() as (sandbox, client):
        sandbox.state.plan.add([Fault.parse({"on": "submit", "kind": kind, "processed": True})])
        assert isinstance(await submit(client, given), MaybeTaken)
        assert sandbox.ledger.summary()["charge_count"] == 1


async def test_the_id_in_a_truncated_response_is_kept() -> None:
    async with higgsfield() as (sandbox, client):
        body = f'{{"id": "{ID}", "jobs": [{{"id": '
        sandbox.state.plan.add([Fault.parse({"on": "submit", "kind": "200", "body": body})])
        outcome = await submit(client, SIZED)
        assert isinstance(outcome, MaybeTaken)
        assert outcome.request_id == ID


async def test_a_refusal_names_the_field_of_the_api() -> None:
    async with higgsfield() as (_, client):
        outcome = await submit(client, SoulInput("a boat", width=2048, height=1152, style_id="no-uuid"))
        assert isinstance(outcome, NotTaken)
        assert outcome.failure.reason is Reason.INPUT_REFUSED
        assert [violation.field for violation in outcome.failure.violations] == ["input.soul.style_id"]
