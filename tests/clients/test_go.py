"""The Go client: its tests, its linters, and empty projects that install it as its README says and run its programs."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.sandbox.server import Sandbox, SandboxOptions
from tests.clients.gotool import CACHES, CLIENT, ENVIRONMENT, alone, go
from tests.clients.programs import output_of
from tests.docs.markdown import Block, blocks
from tests.durability.process import GatewayProcess
from tools import generate

# The first run on a machine compiles gRPC, twice.
pytestmark = [pytest.mark.toolchain("go"), pytest.mark.timeout(900)]

STATICCHECK = "honnef.co/go/tools/cmd/staticcheck@v0.8.2"
REPOSITORY = "github.com/hfgateway/hfgateway"
MODULES = ("generated/go", "clients/go")
VERSION = f"v{(generate.ROOT / 'VERSION').read_text().strip()}"
ADDRESS = "127.0.0.1:50051"
README = blocks("clients/go/README.md")
PROGRAMS = [block for block in README if block.text.startswith("package main\n")]
FROM_CLONE, FROM_RELEASE = ([*block.commands] for block in README if block.language == "sh")


@pytest.mark.toolchain("gcc")
def test_the_go_tests_pass_with_the_race_detector() -> None:
    output = go("test", "-race", "-timeout=300s", "-v", "./...", CGO_ENABLED="1")
    assert "--- SKIP" not in output
    # Each vector is a test.
    for file in ("FailedCalls", "RetriedCalls", "WatchMany", "Inputs"):
        assert re.search(rf"^    --- PASS: TestVectorsOf{file}/", output, re.MULTILINE)


def test_the_go_linters_pass() -> None:
    assert generate.run("gofmt", "-l", ".", cwd=CLIENT) == ""
    go("vet", "./...")
    go("mod", "tidy", "-diff")
    tools = generate.CACHE / "go-staticcheck"
    with generate.install_once(tools, STATICCHECK.encode()) as stale:
        if stale:
            go("install", STATICCHECK, cwd=generate.CACHE, GOBIN=str(tools))
    assert generate.run(tools / "staticcheck", "-checks=all", "./...", cwd=CLIENT, env={**ENVIRONMENT}) == ""


def test_the_go_quickstart_is_short() -> None:
    assert PROGRAMS[0] == README[0]
    assert len(PROGRAMS[0].text.splitlines()) <= 15


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An environment in which `go get` finds a release of the working tree."""
    with alone("fresh"):
        forget_ours()
        yield publish(tmp_path_factory.mktemp("repository"))
        forget_ours()


def publish(repository: Path) -> dict[str, str]:
    """Make a repository with the tags of a release; return an environment in which Go's git finds it by name."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "LICENSE", *MODULES],
        cwd=generate.ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in set(listed.split("\0")) - {""}:
        if (generate.ROOT / name).is_file():
            (repository / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(generate.ROOT / name, repository / name)
    hermetic = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    who = ("-c", "user.name=release", "-c", "user.email=release@example.invalid")
    for command in (("init", "-q"), ("add", "-A"), (*who, "commit", "-q", "-m", VERSION)):
        generate.run("git", *command, cwd=repository, env=hermetic)
    for module in MODULES:
        generate.run("git", "tag", f"{module}/{VERSION}", cwd=repository, env=hermetic)
    return {
        **hermetic,
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{repository.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": f"https://{REPOSITORY}",
        # Fetch by git, because no module proxy has the release.
        "GOPRIVATE": REPOSITORY,
        # Go indexes modules by version, and here the content of a version changes.
        "GODEBUG": "goindex=0",
    }


def build(project: Path, text: str, commands: list[str], published: dict[str, str]) -> Path:
    """Build the program in a new project, after the commands of the README; return the executable."""
    project.mkdir()
    (project / "main.go").write_text(text)
    assert generate.run("gofmt", "-l", ".", cwd=project) == ""
    go("mod", "init", "example.invalid/fresh", cwd=project)
    (project / "hfgateway").symlink_to(generate.ROOT)
    for command in commands:
        tool, *arguments = command.split()
        assert tool == "go"
        go(*arguments, cwd=project, **published)
    output = go("list", "-m", "-f", "{{.Path}} {{.Version}} {{.Replace}}", "all", cwd=project, **published)
    for module in MODULES:
        if commands == FROM_RELEASE:
            assert f"{REPOSITORY}/{module} {VERSION} <nil>\n" in output
        else:
            assert re.search(f"^{REPOSITORY}/{module} .+ \\./hfgateway/{module}$", output, re.MULTILINE)
    go("vet", ".", cwd=project, **published)
    go("build", "-o", "program", ".", cwd=project, **published)
    return project / "program"


def forget_ours() -> None:
    """Remove the modules of another working tree with the same version from the caches."""
    modules = CACHES / "mod"
    for place in ("github.com/hfgateway", "cache/download/github.com/hfgateway", "cache/vcs"):
        shutil.rmtree(modules / place, ignore_errors=True)


@pytest.mark.parametrize(
    ("block", "commands"), [*zip(PROGRAMS, (FROM_CLONE, FROM_RELEASE), strict=True)], ids=("clone", "release")
)
async def test_an_empty_project_installs_the_go_client_and_runs_its_readme(
    block: Block, commands: list[str], published: dict[str, str], tmp_path: Path
) -> None:
    async with (
        Sandbox(SandboxOptions(port=0, time_scale=20)) as sandbox,
        GatewayProcess(tmp_path, sandbox.url) as gateway,
    ):
        text = block.text.replace(ADDRESS, gateway.address)
        program = await asyncio.to_thread(build, tmp_path / "fresh", text, commands, published)
        out = await output_of(program)
        (charge,) = sandbox.ledger.charges
        assert charge.request_id in out  # a part of the output's URL
        assert "COMPLETED" in out
