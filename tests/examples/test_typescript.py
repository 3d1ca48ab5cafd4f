"""The TypeScript examples compile, and work against a real gateway."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import pytest

from gateway.sandbox.accounts.characters import MODEL as TRAINING
from tests.examples.stage import EXAMPLES, Ran, run_examples
from tools import typescript
from tools.generate import StepFailedError, run

pytestmark = [pytest.mark.timeout(600), pytest.mark.toolchain("node"), pytest.mark.toolchain("npm")]

PATHS = sorted((EXAMPLES / "typescript").glob("*.ts"))
RUN_ALL = Path(__file__).with_name("run_all.mjs")
STRICT = (
    "--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes", "--noEmit", "--target", "es2022",
    "--module", "nodenext", "--types", "node", "--skipDefaultLibCheck",
)  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the client that was built from this repository."""
    client = typescript.build_client()
    folder = tmp_path_factory.mktemp("examples")
    (folder / "package.json").write_text('{"private": true, "type": "module"}\n')
    modules = folder / "node_modules"
    (modules / "@hfgateway").mkdir(parents=True)
    (modules / "@hfgateway" / "client").symlink_to(client)
    for name in ("@types", "undici-types"):
        (modules / name).symlink_to(client / "node_modules" / name)
    return folder


def tool(name: str) -> Path:
    return typescript.CLIENT / "node_modules" / ".bin" / name


def test_the_examples_compile_and_follow_the_clients_style(project: Path) -> None:
    sources = project / "sources"
    sources.mkdir()
    for path in PATHS:
        shutil.copy(path, sources)
    shutil.copy(typescript.CLIENT / "biome.jsonc", sources)
    run(tool("tsc"), *STRICT, *sorted(sources.glob("*.ts")), cwd=project)
    run(tool("biome"), "check", "--error-on-warnings", cwd=sources)
    wrong = sources / "wrong.ts"
    wrong.write_text(PATHS[0].read_text().replace("address:", "adress:"))
    with pytest.raises(StepFailedError, match="adress"):
        run(tool("tsc"), *STRICT, wrong, cwd=project)


@pytest.fixture(scope="module")
def ran(project: Path) -> dict[str, Ran]:
    programs = project / "programs"
    run(tool("esbuild"), *PATHS, f"--outdir={programs}", "--format=esm", "--target=node20", cwd=project)
    return asyncio.run(run_examples(("node", str(RUN_ALL)), sorted(programs.glob("*.js")), project))


@pytest.mark.parametrize("name", [path.stem for path in PATHS])
def test_an_example_runs_without_an_error(ran: dict[str, Ran], name: str) -> None:
    assert ran[name].error == ""
    assert ran[name].lines


SUBMITTED = {
    "image_to_video": "the camera circles the subject", "speech_to_video": "a calm presentation",
    "text_to_image": "mountains at dusk, in oil", "configuration": "a lake under stars",
    "image_to_video_motion": "closer, and closer", "image_to_video_upload": "a slow dolly zoom, dramatic light",
    "text_to_image_style": "an old man who has seen much", "text_to_image_advanced": "a city of flying cars",
    "characters": "a portrait in a suit",
}  # fmt: skip


@pytest.mark.parametrize("name", SUBMITTED)
def test_an_example_prints_the_output_that_it_paid_for(ran: dict[str, Ran], name: str) -> None:
    assert [charge.prompt for charge in ran[name].charges if charge.model != TRAINING] == [SUBMITTED[name]]
    assert ran[name].shows(SUBMITTED[name])


@pytest.mark.parametrize("name", ["text_to_image_advanced", "characters"])
def test_a_character_is_trained_and_charged_once(ran: dict[str, Ran], name: str) -> None:
    assert len([charge for charge in ran[name].charges if charge.model == TRAINING]) == 1


def test_a_character_is_listed_with_its_final_state(ran: dict[str, Ran]) -> None:
    noor, _ = ran["characters"].lines
    assert re.fullmatch(r"Noor \S+ COMPLETED", noor)


@pytest.mark.parametrize("name", ["text_to_image_style", "text_to_image_advanced"])
def test_four_outputs_have_separate_links(ran: dict[str, Ran], name: str) -> None:
    assert len(ran[name].lines) == 4
    assert len(set(ran[name].urls())) == 8


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
