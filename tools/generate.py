#!/usr/bin/env python3
"""Writes generated/ from protos/, or with --check says where generated/ is not what it would write.

One compiler (grpc_tools.protoc, see docs/decisions/0001) with one plugin or two per language. The toolchains are
installed by pinned version below .cache/codegen*, which may be deleted at any time.
"""

from __future__ import annotations

import argparse
import fcntl
import filecmp
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
GENERATED = ROOT / "generated"
CACHE = ROOT / ".cache"

PYTHON_TOOLS = CACHE / "codegen"
PYTHON_LOCK = ROOT / "requirements" / "codegen.txt"

GO_TOOLS = CACHE / "codegen-go"
GO_MODULE = "github.com/hfgateway/hfgateway/generated/go"
GO_PLUGINS = (
    "google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12",
    "google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2",
)
# What the modules of the plugins and generated/go/go.mod ask for.
GO_LOWEST = (1, 24)

NODE_TOOLS = CACHE / "codegen-node"
NODE_LOCK = ROOT / "tools" / "codegen"
NODE_FILES = ("package.json", "package-lock.json", ".npmrc")
# What protoc-gen-es asks for.
NODE_LOWEST = (20, 0)

RUST_TOOLS = CACHE / "codegen-rust"
RUST_LOCK = ROOT / "tools" / "codegen" / "rust"
RUST_FILES = ("Cargo.toml", "Cargo.lock", "src/main.rs")
# What tonic asks for, as does clients/rust/Cargo.toml.
RUST_LOWEST = (1, 88)
# All that is built in Rust is built there: most of it is the same for all.
RUST_TARGET = CACHE / "rust-target"

JAVA_TOOLS = CACHE / "codegen-java"
# The first is of the version of our one compiler, which has no Java in it. The runtime in clients/java/pom.xml must not
# be older than it.
JAVA_PROGRAMS = ("com.google.protobuf:protoc:4.31.1", "io.grpc:protoc-gen-grpc-java:1.82.2")
# What clients/java asks for.
JAVA_LOWEST = (17, 0)
JAVA_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.11.0:copy"
# All that Maven fetches is kept there, for the client too.
MAVEN_REPOSITORY = CACHE / "m2"
# As the plugin's artifacts are named.
JAVA_SYSTEMS = {"Linux": "linux", "Darwin": "osx", "Windows": "windows"}
JAVA_MACHINES = {"x86_64": "x86_64", "AMD64": "x86_64", "aarch64": "aarch_64", "arm64": "aarch_64"}

INIT_PACKAGE = '"""Messages and stubs of the package {package}, generated from its protos."""\n'
INIT = '"""Generated from protos/ by tools/generate.py."""\n'


class MissingToolchainError(Exception):
    """A toolchain that this machine does not have."""


class StepFailedError(Exception):
    """A step that failed; holds what it printed."""


def run(*command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> str:
    """Runs a command quietly; what it printed is shown only when it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode:
        shown = " ".join(str(part) for part in command)
        raise StepFailedError(f"{done.stdout.rstrip()}\n{shown}: exit code {done.returncode}")
    return done.stdout


@contextmanager
def install_once(directory: Path, *pins: bytes) -> Iterator[bool]:
    """Holds the directory's lock and yields whether it has to be filled; the stamp is written at the end.

    The lock is for tests and `make` that run side by side.
    """
    CACHE.mkdir(exist_ok=True)
    digest = hashlib.sha256(b"\0".join(pins)).hexdigest()
    stamp = directory / "stamp"
    with (CACHE / f"{directory.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stale = not stamp.exists() or stamp.read_text() != digest
        if stale:
            shutil.rmtree(directory, ignore_errors=True)
        yield stale
        # Also when nothing was to do: make compares times.
        stamp.write_text(digest)


def version_of(tool: str, argument: str, lowest: tuple[int, int]) -> None:
    """Raises MissingToolchainError where the tool is not there, or too old."""
    if shutil.which(tool) is None:
        raise MissingToolchainError(f"{tool} is not installed (needs {lowest[0]}.{lowest[1]} or newer)")
    printed = run(tool, argument)
    found = re.search(r"(\d+)\.(\d+)", printed)
    if found is None or (int(found[1]), int(found[2])) < lowest:
        raise MissingToolchainError(f"{tool} is too old: {printed.strip()} (needs {lowest[0]}.{lowest[1]} or newer)")


def python_tools() -> Path:
    """Installs the compiler, mypy-protobuf and buf into a venv of their own; returns its bin directory."""
    with install_once(PYTHON_TOOLS, PYTHON_LOCK.read_bytes(), sys.version.encode()) as stale:
        if stale:
            print("codegen: installs the compiler, mypy-protobuf and buf from requirements/codegen.txt", flush=True)
            run(sys.executable, "-m", "venv", PYTHON_TOOLS)
            run(PYTHON_TOOLS / "bin" / "pip", "install", "--quiet", "--require-hashes", "-r", PYTHON_LOCK)
    return PYTHON_TOOLS / "bin"


def go_tools() -> Path:
    """Installs Go's two plugins; returns the directory they are in."""
    version_of("go", "version", GO_LOWEST)
    with install_once(GO_TOOLS, *(plugin.encode() for plugin in GO_PLUGINS)) as stale:
        if stale:
            for plugin in GO_PLUGINS:
                print(f"codegen: installs {plugin}", flush=True)
                # Outside of any module: `plugin@version` then takes the plugin's own go.mod.
                run("go", "install", plugin, env={"GOBIN": str(GO_TOOLS), "GOWORK": "off"}, cwd=CACHE)
    return GO_TOOLS


def node_tools() -> Path:
    """Installs protoc-gen-es, its runtime and tsc as locked in tools/codegen; returns the directory of node_modules."""
    version_of("node", "--version", NODE_LOWEST)
    if shutil.which("npm") is None:
        raise MissingToolchainError("npm is not installed")
    with install_once(NODE_TOOLS, *((NODE_LOCK / name).read_bytes() for name in NODE_FILES)) as stale:
        if stale:
            print("codegen: installs protoc-gen-es and tsc from tools/codegen/package-lock.json", flush=True)
            NODE_TOOLS.mkdir()
            for name in NODE_FILES:
                shutil.copy(NODE_LOCK / name, NODE_TOOLS / name)
            run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=NODE_TOOLS)
    return NODE_TOOLS / "node_modules"


def rust_tools() -> Path:
    """Builds the generator in tools/codegen/rust as it is locked; returns the directory it is in."""
    version_of("cargo", "--version", RUST_LOWEST)
    with install_once(RUST_TOOLS, *((RUST_LOCK / name).read_bytes() for name in RUST_FILES)) as stale:
        if stale:
            print("codegen: builds tools/codegen/rust with prost and tonic", flush=True)
            manifest = RUST_LOCK / "Cargo.toml"
            run("cargo", "build", "--locked", "--manifest-path", manifest, "--target-dir", RUST_TARGET)
            RUST_TOOLS.mkdir()
            shutil.copy(RUST_TARGET / "debug" / "codegen", RUST_TOOLS)
    return RUST_TOOLS


def java_tools() -> Path:
    """Fetches the two generators, programs of this system; returns the directory they are in."""
    version_of("javac", "-version", JAVA_LOWEST)
    if shutil.which("mvn") is None:
        raise MissingToolchainError("mvn is not installed")
    system, machine = JAVA_SYSTEMS.get(platform.system()), JAVA_MACHINES.get(platform.machine())
    if system is None or machine is None:
        raise MissingToolchainError(f"protoc is not made for {platform.system()} on {platform.machine()}")
    with install_once(JAVA_TOOLS, JAVA_COPY.encode(), *(program.encode() for program in JAVA_PROGRAMS)) as stale:
        for program in JAVA_PROGRAMS if stale else ():
            print(f"codegen: fetches {program}", flush=True)
            run(
                "mvn", "--batch-mode", "--no-transfer-progress", f"-Dmaven.repo.local={MAVEN_REPOSITORY}", JAVA_COPY,
                f"-Dartifact={program}:exe:{system}-{machine}", f"-DoutputDirectory={JAVA_TOOLS}",
                "-Dmdep.stripVersion=true", "-Dmdep.stripClassifier=true",
                cwd=CACHE,
            )  # fmt: skip
            name = program.split(":")[1]
            (JAVA_TOOLS / f"{name}.exe").rename(JAVA_TOOLS / name).chmod(0o755)
    return JAVA_TOOLS


def sources(*, with_service: bool = False) -> list[str]:
    """The proto files, relative to protos/; on request only those that declare a service."""
    found = sorted(PROTOS.rglob("*.proto"))
    if with_service:
        found = [path for path in found if re.search(r"^service ", path.read_text(), re.MULTILINE)]
    return [path.relative_to(PROTOS).as_posix() for path in found]


def protoc(*arguments: str) -> None:
    """Runs the one compiler."""
    run(python_tools() / "python", "-m", "grpc_tools.protoc", f"-I{PROTOS}", *arguments)


@contextmanager
def descriptors() -> Iterator[Path]:
    """A file with all that the one compiler has read, comments too: for generators that are no plugins of it."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "descriptors.bin"
        protoc("--include_imports", "--include_source_info", f"--descriptor_set_out={path}", *sources())
        yield path


def generate_python(out: Path) -> None:
    """Messages with their types; for services also mypy-protobuf's types, which know sync from async stubs."""
    plugin = python_tools() / "protoc-gen-mypy_grpc"
    protoc(f"--python_out={out}", f"--pyi_out={out}", *sources())
    # Only where there is a service: for other files both would write modules with nothing in them.
    protoc(
        f"--plugin=protoc-gen-mypy_grpc={plugin}",
        f"--grpc_python_out={out}",
        f"--mypy_grpc_out=quiet:{out}",
        *sources(with_service=True),
    )
    (out / "hfgateway" / "__init__.py").write_text(INIT)
    for directory in sorted({path.parent for path in out.rglob("*_pb2.py")}):
        package = directory.relative_to(out).as_posix().replace("/", ".")
        (directory / "__init__.py").write_text(INIT_PACKAGE.format(package=package))
    (out / "hfgateway" / "py.typed").touch()


def generate_go(out: Path) -> None:
    """Messages and gRPC stubs of the Go module whose go.mod stands in generated/go."""
    tools = go_tools()
    options = []
    for name in ("go", "go-grpc"):
        options += [
            f"--plugin=protoc-gen-{name}={tools / f'protoc-gen-{name}'}",
            f"--{name}_out={out}",
            f"--{name}_opt=module={GO_MODULE}",
        ]
    protoc(*options, *sources())


def generate_typescript(out: Path) -> None:
    """JavaScript modules with their types: they load as they are in Node, bundlers and browsers, without tsc too."""
    modules = node_tools()
    protoc(
        f"--plugin=protoc-gen-es={modules / '.bin' / 'protoc-gen-es'}",
        f"--es_out={out}",
        "--es_opt=target=js+dts,import_extension=js",
        *sources(),
    )
    runtime = json.loads((NODE_LOCK / "package.json").read_text())["dependencies"]["@bufbuild/protobuf"]
    package = {
        # Node takes .js files for ES modules only where a package.json says so.
        "name": "hfgateway-stubs",
        "private": True,
        "type": "module",
        "peerDependencies": {"@bufbuild/protobuf": f"^{runtime}"},
    }
    (out / "package.json").write_text(json.dumps(package, indent=2) + "\n")


def generate_rust(out: Path) -> None:
    """One file for each package: messages by prost, stubs by tonic."""
    tools = rust_tools()
    with descriptors() as path:
        run(tools / "codegen", path, out)


def generate_java(out: Path) -> None:
    """Messages and stubs, from what the one compiler has read: one file for each class."""
    tools = java_tools()
    with descriptors() as path:
        run(
            tools / "protoc",
            f"--descriptor_set_in={path}",
            f"--java_out={out}",
            f"--plugin=protoc-gen-grpc-java={tools / 'protoc-gen-grpc-java'}",
            # The annotation is not in the Java of today.
            f"--grpc-java_out=@generated=omit:{out}",
            *sources(),
        )


@dataclass(frozen=True)
class Language:
    """One folder of generated/: what installs its toolchain, what fills it, what in it is not generated."""

    install: Callable[[], Path]
    generate: Callable[[Path], None]
    kept: frozenset[str] = frozenset()


LANGUAGES = {
    "python": Language(python_tools, generate_python),
    "go": Language(go_tools, generate_go, kept=frozenset({"go.mod", "go.sum"})),
    "typescript": Language(node_tools, generate_typescript),
    "java": Language(java_tools, generate_java),
    "rust": Language(rust_tools, generate_rust),
}


def files_in(directory: Path, kept: frozenset[str]) -> set[str]:
    """All generated files of a folder; byte code and what is kept do not count."""
    found = (path.relative_to(directory) for path in directory.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if "__pycache__" not in path.parts and path.as_posix() not in kept}


def differences(wanted: Path, present: Path, kept: frozenset[str]) -> dict[str, str]:
    """File → "differs", "missing" or "extra"."""
    new, old = files_in(wanted, kept), files_in(present, kept)
    found = dict.fromkeys(new - old, "missing") | dict.fromkeys(old - new, "extra")
    for name in new & old:
        if not filecmp.cmp(wanted / name, present / name, shallow=False):
            found[name] = "differs"
    return dict(sorted(found.items()))


def bring_in(wanted: Path, present: Path, changes: dict[str, str]) -> None:
    """Makes `present` what `wanted` is, touching only what differs."""
    for name, change in changes.items():
        target = present / name
        if change == "extra":
            target.unlink()
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(wanted / name, target)


def work_on(name: str, language: Language, *, check: bool) -> bool:
    """Generates one language, or checks it; says in one line what came of it. False where the check failed."""
    present = GENERATED / name
    with tempfile.TemporaryDirectory() as scratch:
        wanted = Path(scratch)
        language.generate(wanted)
        changes = differences(wanted, present, language.kept)
        if check:
            for path, change in changes.items():
                print(f"{change}: generated/{name}/{path}")
            print(f"generated/{name}: {'NOT up to date; run `make generate`' if changes else 'up to date'}", flush=True)
            return not changes
        bring_in(wanted, present, changes)
        print(f"generated/{name}: {len(changes)} files changed", flush=True)
        return True


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 when all is well, 1 when a check or a step failed."""
    parser = argparse.ArgumentParser(description="Writes generated/ from protos/.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail naming what differs")
    parser.add_argument("--install", action="store_true", help="only install the toolchains")
    parser.add_argument("--only", action="append", choices=LANGUAGES, help="this language; may be repeated")
    options = parser.parse_args(arguments)
    good = True
    for name in options.only or LANGUAGES:
        language = LANGUAGES[name]
        try:
            if options.install:
                language.install()
            else:
                good &= work_on(name, language, check=options.check)
        except MissingToolchainError as missing:
            # A developer may do without a language; in CI it would be a check that nobody makes.
            required = os.environ.get("CI") == "true"
            outcome = "FAILED" if required else "SKIPPED"
            print(f"!!! {outcome}: generated/{name}: {missing}", file=sys.stderr, flush=True)
            good &= not required
        except StepFailedError as failure:
            print(f"{failure}\n!!! FAILED: generated/{name}", file=sys.stderr, flush=True)
            good = False
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
