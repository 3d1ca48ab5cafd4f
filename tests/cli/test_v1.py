"""`hfgateway generate` with inputs that only Higgsfield's v1 API serves, through a real gateway, to real files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.support.running import Running, run

SIZED = ["--soul", "-p", "width=2048", "-p", "height=1152"]
SEVERAL = ["--dop", "--image", "{url}/media/examples/portrait.png", "--image", "https://files.example/2.png"]
SPEAK = [
    "--speak", "--image", "{url}/media/examples/portrait.png", "--audio", "{url}/media/examples/speech.wav",
    "-p", "quality=high", "-p", "duration_seconds=10",
]  # fmt: skip
KEYFRAMES = ["--model", "v1/text2image/keyframes", "--api-version", "v1", "-p", "count=2"]


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with run(tmp_path, queue_seconds=0, image_seconds=0, video_seconds=0) as one:
        yield one


@pytest.mark.parametrize(
    ("arguments", "model", "files"),
    [
        ([*SIZED, "-p", "batch_size=4"], "v1/text2image/soul", {"1.png": b"\x89PNG", "4.png": b"\x89PNG"}),
        (SEVERAL, "v1/image2video/dop", {"1.webm": b"\x1aE\xdf\xa3"}),
        (SPEAK, "v1/speak/higgsfield", {"1.webm": b"\x1aE\xdf\xa3"}),
        (KEYFRAMES, "v1/text2image/keyframes", {"1.png": b"\x89PNG", "2.png": b"\x89PNG"}),
    ],
)
async def test_outputs_of_v1_are_saved(
    running: Running, tmp_path: Path, arguments: list[str], model: str, files: dict[str, bytes]
) -> None:
    hfgateway = Command(running.gateway.grpc_address)
    given = [one.format(url=running.sandbox.url) for one in arguments]

    ended = await hfgateway("generate", "a fox", *given, "--save", str(tmp_path / "saved"))

    assert ended.code == 0
    saved = {path.name.rpartition("-")[2]: path.read_bytes() for path in (tmp_path / "saved").iterdir()}
    assert {name: saved[name][:4] for name in files} == files
    assert len(ended.out.splitlines()) == len(saved)
    assert [one.model for one in running.ledger.submissions] == [model]


async def test_a_refusal_of_v1_names_the_fields_of_the_command(running: Running) -> None:
    hfgateway = Command(running.gateway.grpc_address)

    wrong = await hfgateway("generate", "a fox", "--soul", "-p", "width=2048")
    price = await hfgateway("estimate", "a fox", *SIZED)
    unformed = await hfgateway("generate", "a fox", *KEYFRAMES[:2])
    empty = await hfgateway("generate", "a fox", "--model", "")
    unnamed = await hfgateway("generate", "a fox", *KEYFRAMES[2:])

    assert (wrong.code, price.code, unformed.code, unnamed.code) == (3, 3, 3, 2)
    assert "API_VERSION_V1" in unformed.err
    assert "--api-version needs --model" in unnamed.err
    assert (empty.code, "--model needs the id of a model" in empty.err) == (2, True)
    assert "2048x1152" in wrong.err
    assert "input.soul.width" in price.err
    assert running.ledger.submissions == []
