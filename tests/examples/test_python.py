"""The Python examples work against a real gateway, and are charged once for each generation."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

from gateway.sandbox.accounts.characters import MODEL as TRAINING
from tests.examples.stage import EXAMPLES, Ran, run_examples

PATHS = sorted((EXAMPLES / "python").glob("*.py"))
RUN_ALL = Path(__file__).with_name("run_all.py")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ran]:
    folder = tmp_path_factory.mktemp("examples")
    command = (sys.executable, "-W", "error", str(RUN_ALL))
    return asyncio.run(run_examples(command, PATHS, folder))


@pytest.mark.parametrize("name", [path.stem for path in PATHS])
def test_an_example_runs_without_an_error(ran: dict[str, Ran], name: str) -> None:
    assert ran[name].error == ""
    assert ran[name].lines


SUBMITTED = {
    "submit_and_wait": "a lake between mountains", "submit_and_wait_async": "the lake from the air",
    "track_progress": "a football in the rain", "track_progress_async": "a football in the snow",
    "callbacks": "a lake at sunset", "callbacks_async": "a lake at dawn",
    "image_to_video": "the camera circles the subject", "image_to_video_motion": "closer, and closer",
    "image_to_video_upload": "a slow dolly zoom, dramatic light", "speech_to_video": "a calm presentation",
    "text_to_image": "mountains at dusk, in oil", "text_to_image_style": "an old man who has seen much",
    "text_to_image_advanced": "a city of flying cars", "characters": "a portrait in a suit",
    "configuration": "a lake under stars", "webhook": "a letter on a table",
}  # fmt: skip


@pytest.mark.parametrize("name", SUBMITTED)
def test_an_example_prints_the_output_that_it_paid_for(ran: dict[str, Ran], name: str) -> None:
    generated = [charge.prompt for charge in ran[name].charges if charge.model != TRAINING]
    assert generated == [SUBMITTED[name]]
    assert ran[name].shows(SUBMITTED[name])


@pytest.mark.parametrize("name", ["track_progress", "track_progress_async"])
def test_progress_is_printed_in_order(ran: dict[str, Ran], name: str) -> None:
    *before, last = ran[name].lines
    states = [line.removeprefix("state: ") for line in before]
    assert states == sorted(states, key=["PENDING", "QUEUED", "IN_PROGRESS"].index)
    assert "QUEUED" in states
    assert last.startswith("done: http")


@pytest.mark.parametrize("name", ["callbacks", "callbacks_async"])
def test_callbacks_run_before_the_generation_is_sent(ran: dict[str, Ran], name: str) -> None:
    first, *_, end, url = ran[name].lines
    assert first.endswith(" PENDING")
    assert end == first.replace("PENDING", "COMPLETED")
    assert url.startswith("http")


@pytest.mark.parametrize("name", ["manage_requests", "manage_requests_async"])
def test_existing_generations_are_found_awaited_and_canceled(ran: dict[str, Ran], name: str) -> None:
    first, end, late, canceled = ran[name].lines
    assert first.startswith("current state: ")
    assert end.startswith("final state: COMPLETED http")
    assert late == "too late: COMPLETED"
    assert canceled == "canceled: CANCELED"
    assert len(ran[name].charges) == 2


def test_four_outputs_have_separate_links(ran: dict[str, Ran]) -> None:
    lines = ran["text_to_image_style"].lines
    assert [line.split()[0] for line in lines] == ["1", "2", "3", "4"]
    assert len(set(ran["text_to_image_style"].urls())) == 8


def test_the_errors_example_distinguishes_every_kind(ran: dict[str, Ran]) -> None:
    wrong, unknown, failed, moderated = ran["errors"].lines
    assert wrong.startswith("wrong: ")
    assert "input.soul.seed" in wrong
    assert "input.soul.style_strength" in wrong
    assert unknown == "refused: MODEL_UNKNOWN"
    assert (failed, moderated) == ("ended: FAILED GENERATION_FAILED", "ended: NSFW MODERATED")


def test_the_configuration_reaches_the_gateway(ran: dict[str, Ran]) -> None:
    cost, _, count = ran["configuration"].lines
    assert float(cost.removeprefix("costs ")) > 0
    assert count == "of the project: 1"


@pytest.mark.parametrize("name", ["text_to_image_advanced", "characters"])
def test_a_character_is_trained_and_charged_once(ran: dict[str, Ran], name: str) -> None:
    assert len([charge for charge in ran[name].charges if charge.model == TRAINING]) == 1


def test_a_character_is_listed_with_its_final_state(ran: dict[str, Ran]) -> None:
    *training, noor, _ = ran["characters"].lines
    assert training[-1] == "training: COMPLETED"
    assert len(set(training)) == len(training) > 1
    assert re.fullmatch(r"Noor \S+ COMPLETED", noor)


def test_a_webhook_reports_the_end(ran: dict[str, Ran]) -> None:
    submitted, reported = ran["webhook"].lines
    assert submitted.startswith("submitted: ")
    assert reported.startswith("webhook: COMPLETED http")


def test_agents_ask_a_question_and_get_an_answer(ran: dict[str, Ran]) -> None:
    assert ran["agents"].lines[:2] == ["question: Which colour?", "answer: Done: As a photograph."]
    assert len(ran["agents"].lines) == 2 + 6
    assert ran["agents_async"].lines == ["question: Which colour?", "answer: Done: In oil."]
