"""The clients, how their programs of behaviours are built and started, and what one run of such a program told."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.clients import gotool

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache"
BEHAVIOURS: dict[str, dict[str, str]] = {
    behaviour["name"]: behaviour
    for behaviour in json.loads((ROOT / "protos/vectors/behaviours.json").read_text())["behaviours"]
}

BUILD_PATIENCE, RUN_PATIENCE = 900.0, 300.0
"""Seconds; the first is for a machine that has to fetch and compile everything."""


@dataclass(frozen=True)
class Language:
    """A client's program. Commands are run in its folder below `clients`."""

    name: str
    title: str
    folder: str
    toolchain: str
    run: tuple[str, ...]
    build: tuple[str, ...] = ()
    partial: bool = False
    """It need not have every behaviour: which it has, the table of parity says."""

    @property
    def place(self) -> Path:
        """Its folder."""
        return ROOT / "clients" / self.folder

    @property
    def here(self) -> bool:
        """Whether this machine has what it needs."""
        return all(map(shutil.which, ("openssl", self.toolchain)))


CARGO = ("--quiet", "--locked", "--all-features", "--example", "behaviours")
TYPESCRIPT = "build/behaviours/main.js"
BUILD_TYPESCRIPT = (sys.executable, str(ROOT / "tools" / "typescript.py"))

JAVA = ("java", "@target/behaviours.args", "io.github.hfgateway.behaviours.Main")
BUILD_JAVA = (sys.executable, str(ROOT / "tools" / "maven.py"))

LANGUAGES: tuple[Language, ...] = (
    Language("python", "Python", "python", "openssl", (sys.executable, "-m", "behaviours")),
    Language(
        "python-sync", "Python, sync", "python", "openssl", (sys.executable, "-m", "behaviours", "--sync"), partial=True
    ),
    Language("go", "Go", "go", "go", (str(gotool.BEHAVIOURS),), gotool.BUILD_BEHAVIOURS),
    Language("typescript", "TypeScript", "typescript", "node", ("node", TYPESCRIPT), BUILD_TYPESCRIPT),
    # In Node, over fetch: Connect and gRPC-Web, and what holds has to hold over both. TLS is the browser's own.
    Language(
        "typescript-web",
        "TypeScript, browser entry",
        "typescript",
        "node",
        ("node", TYPESCRIPT, "--transport=connect,grpc-web"),
        BUILD_TYPESCRIPT,
        partial=True,
    ),
    Language("java", "Java", "java", "mvn", JAVA, BUILD_JAVA),
    Language("rust", "Rust", "rust", "cargo", ("cargo", "run", *CARGO, "--"), build=("cargo", "build", *CARGO)),
)


@dataclass
class Results:
    """What a program told, line for line, and what was wrong with how it told it."""

    held: dict[str, bool] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    stderr: str = ""


def perform(language: Language) -> Results:
    """Build the program and run it against a harness of its own."""
    if language.build:
        built = _finished(language.build, language.place, BUILD_PATIENCE)
        if built.returncode != 0:
            return Results(faults=[f"does not build: {built.stdout}{built.stderr}"])
    harness = (sys.executable, "-m", "tests.clients.harness", f"--in={language.place}")
    done = _finished((*harness, *language.run), ROOT, RUN_PATIENCE)
    return judged(done.stdout, done.returncode, done.stderr, partial=language.partial)


def judged(stdout: str, exit_code: int, stderr: str, *, partial: bool) -> Results:
    """The lines of a program, held against the behaviours that there are."""
    results = Results(stderr=stderr)
    for line in stdout.splitlines():
        try:
            told = json.loads(line)
            name, ok = told["behaviour"], told["ok"]
        except (ValueError, KeyError, TypeError):
            results.faults.append(f"no line of a behaviour: {line[:200]}")
            continue
        if name not in BEHAVIOURS:
            results.faults.append(f"{name}: is no behaviour of behaviours.json")
        elif name in results.held:
            results.faults.append(f"{name}: told twice")
        elif type(ok) is not bool:
            results.faults.append(f"{name}: ok is {ok!r}")
        else:
            results.held[name] = ok
            if not ok:
                results.faults.append(f"{name}: {told.get('error') or 'no error was told'}")
    if not partial:
        results.faults += [f"{name}: not told" for name in BEHAVIOURS if name not in results.held]
    if exit_code not in (0, 1) or (exit_code != 0 and all(results.held.values())):
        results.faults.append(f"the program ended with exit code {exit_code}")
    return results


def _finished(command: Sequence[str], folder: Path, patience: float) -> subprocess.CompletedProcess[str]:
    """Run it to its end, and leave nothing of it behind."""
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        errors="replace", start_new_session=True,
    ) as process:  # fmt: skip
        try:
            out, err = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            err += f"\nended after {patience:g} s"
    return subprocess.CompletedProcess(command, process.returncode, out, err)
