"""generated/ is up to date with protos/, compiles, and carries a message in every language."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import generate, maven

# The first run on a machine installs the toolchains.
pytestmark = pytest.mark.timeout(600)

GO_PROGRAM = """
package main

import (
	"fmt"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
	"google.golang.org/protobuf/proto"
)

func main() {
	sent := &pb.SubmitGenerationRequest{IdempotencyKey: "k", Labels: map[string]string{"a": "b"}}
	bytes, err := proto.Marshal(sent)
	if err != nil {
		panic(err)
	}
	received := &pb.SubmitGenerationRequest{}
	if err := proto.Unmarshal(bytes, received); err != nil || !proto.Equal(sent, received) {
		panic(fmt.Sprint("not the same: ", err))
	}
	fmt.Println(pb.GenerationService_SubmitGeneration_FullMethodName)
}
"""

TYPESCRIPT_PROGRAM = """
import { create, equals, fromBinary, toBinary } from "@bufbuild/protobuf";
import { GenerationState } from "./stubs/hfgateway/v1/generation_pb.js";
import {
  GenerationService,
  SubmitGenerationRequestSchema,
  type SubmitGenerationRequest,
} from "./stubs/hfgateway/v1/generation_service_pb.js";

const sent: SubmitGenerationRequest = create(SubmitGenerationRequestSchema, {
  idempotencyKey: "k",
  labels: { a: "b" },
  input: { kind: { case: "soul", value: { prompt: "p", styleStrength: 0.5 } } },
});
const received = fromBinary(SubmitGenerationRequestSchema, toBinary(SubmitGenerationRequestSchema, sent));
if (!equals(SubmitGenerationRequestSchema, sent, received)) throw new Error("not the same");
const state: number = GenerationState.PENDING;
console.log(state, `/${GenerationService.typeName}/${GenerationService.method.submitGeneration.name}`);
"""


def check(language: str) -> None:
    done = subprocess.run(
        [sys.executable, generate.__file__, "--check", "--only", language],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_python_is_up_to_date() -> None:
    check("python")


@pytest.mark.toolchain("go")
def test_go_is_up_to_date() -> None:
    check("go")


@pytest.mark.toolchain("node")
@pytest.mark.toolchain("npm")
def test_typescript_is_up_to_date() -> None:
    check("typescript")


@pytest.mark.toolchain("cargo")
def test_rust_is_up_to_date() -> None:
    check("rust")


@pytest.mark.toolchain("mvn")
def test_java_is_generated_by_its_maven_build_and_not_committed() -> None:
    check("java")
    stubs = (maven.STUBS / "io" / "github" / "hfgateway" / "v1").iterdir()
    assert {"GenerationServiceGrpc.java", "SubmitGenerationRequest.java"} <= {path.name for path in stubs}
    assert not (generate.GENERATED / "java").exists()


def test_java_stubs_of_other_protos_are_discarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maven, "TARGET", tmp_path)
    monkeypatch.setattr(maven, "STUBS", tmp_path / "stubs")
    stub = tmp_path / "stubs" / "RemovedMessage.java"
    for protos, remain in (("other", False), ("present", True)):
        stub.parent.mkdir(exist_ok=True)
        stub.touch()
        if protos == "other":
            (tmp_path / "protos.stamp").write_text(protos)
        maven.discard_old_stubs()
        assert stub.exists() == remain


@pytest.mark.toolchain("go")
def test_go_compiles_and_carries_a_message(tmp_path: Path) -> None:
    module = tmp_path / "go"
    shutil.copytree(generate.GENERATED / "go", module)
    (module / "program").mkdir()
    (module / "program" / "main.go").write_text(GO_PROGRAM)
    # The committed go.mod and go.sum have to be enough.
    environment = {"GOFLAGS": "-mod=readonly", "GOWORK": "off"}
    generate.run("go", "vet", "./...", cwd=module, env=environment)
    # Go reports downloads before the output of the program.
    printed = generate.run("go", "run", "./program", cwd=module, env=environment)
    assert printed.splitlines()[-1] == "/hfgateway.v1.GenerationService/SubmitGeneration"


@pytest.fixture
def typescript_project() -> Iterator[Path]:
    """A folder beside the installed node_modules, where Node and tsc find the runtime by themselves."""
    modules = generate.node_tools()
    project = modules.parent / f"project-{os.getpid()}"
    shutil.rmtree(project, ignore_errors=True)
    project.mkdir()
    shutil.copytree(generate.GENERATED / "typescript", project / "stubs")
    (project / "package.json").write_text('{"private": true, "type": "module"}\n')
    yield project
    shutil.rmtree(project)


@pytest.mark.toolchain("node")
@pytest.mark.toolchain("npm")
def test_typescript_type_checks_and_carries_a_message(typescript_project: Path) -> None:
    tsc = typescript_project.parent / "node_modules" / ".bin" / "tsc"
    strict = ("--strict", "--skipLibCheck", "false", "--target", "es2022", "--module", "nodenext")
    program = typescript_project / "program.ts"
    program.write_text(TYPESCRIPT_PROGRAM)
    generate.run(tsc, *strict, program, cwd=typescript_project)
    printed = generate.run("node", "program.js", cwd=typescript_project)
    assert printed.strip() == "1 /hfgateway.v1.GenerationService/SubmitGeneration"
    # A wrong type is refused, so the types are real.
    program.write_text(TYPESCRIPT_PROGRAM.replace('idempotencyKey: "k"', "idempotencyKey: 1"))
    with pytest.raises(generate.StepFailedError, match="is not assignable to type 'string"):
        generate.run(tsc, *strict, program, cwd=typescript_project)


def tree(directory: Path, **files: str) -> Path:
    directory.mkdir()
    for name, text in files.items():
        (directory / name).write_text(text)
    return directory


def test_every_kind_of_difference_is_reported_and_applied(tmp_path: Path) -> None:
    wanted = tree(tmp_path / "wanted", same="1", changed="1", new="1")
    present = tree(tmp_path / "present", same="1", changed="2", old="1", kept="1")
    kept = frozenset({"kept"})
    found = generate.differences(wanted, present, kept)
    assert found == {"changed": "differs", "new": "missing", "old": "extra"}
    generate.apply_changes(wanted, present, found)
    assert generate.differences(wanted, present, kept) == {}
    assert sorted(path.name for path in present.iterdir()) == ["changed", "kept", "new", "same"]


@pytest.fixture
def edited_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the generator work on a copy of generated/."""
    generated = tmp_path / "generated"
    shutil.copytree(generate.GENERATED / "python", generated / "python", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(generate, "GENERATED", generated)
    return generated / "python" / "hfgateway"


def test_check_fails_and_generate_repairs(edited_python: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (edited_python / "v1" / "error_pb2.py").write_text("")
    (edited_python / "v1" / "removed_pb2.py").write_text("")
    assert generate.main(["--check", "--only", "python"]) == 1
    printed = capsys.readouterr().out
    assert "differs: generated/python/hfgateway/v1/error_pb2.py" in printed
    assert "extra: generated/python/hfgateway/v1/removed_pb2.py" in printed
    assert generate.main(["--only", "python"]) == 0
    assert not (edited_python / "v1" / "removed_pb2.py").exists()
    assert generate.main(["--check", "--only", "python"]) == 0


@pytest.mark.parametrize(("ci", "outcome", "code"), [("", "SKIPPED", 0), ("true", "FAILED", 1)])
def test_a_missing_toolchain_is_reported_and_fails_in_ci(
    ci: str, outcome: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PATH", "")
    assert generate.main(["--check", "--only", "go"]) == code
    assert f"!!! {outcome}: generated/go: go is not installed" in capsys.readouterr().err
