"""The clients, the commands that build and run their behaviour programs, and the results of a run."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.clients import gotool, harness

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache"
BEHAVIOURS: dict[str, dict[str, str]] = {
    behaviour["name"]: behaviour
    for behaviour in json.loads((ROOT / "protos/vectors/behaviours.json").read_text())["behaviours"]
}

BUILD_TIMEOUT, RUN_TIMEOUT = 900.0, 300.0
"""Seconds; the first allows for a machine that has to fetch and compile everything."""


@dataclass(frozen=True)
class Language:
    """A client's behaviour program. Its commands run in its folder below `clients`."""

    name: str
    title: str
    folder: str
    toolchain: str
    run: tuple[str, ...]
    build: tuple[str, ...] = ()
    partial: bool = False
    """The program may lack behaviours; the parity table lists those it has."""

    @property
    def place(self) -> Path:
        """The folder of the client."""
        return ROOT / "clients" / self.folder

    @property
    def here(self) -> bool:
        """True if the toolchain is installed."""
        return all(map(shutil.which, ("openssl", "cc", self.toolchain)))


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
    # In Node, over fetch: every behaviour must hold over both Connect and gRPC-Web. TLS is up to the browser.
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


_WARNING = re.compile(r"warning", re.IGNORECASE)


@dataclass
class Results:
    """The results that a program reported, and the faults of its report."""

    held: dict[str, bool] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    stderr: str = ""


async def perform(language: Language, names: Sequence[str] = (), database: str = "") -> Results:
    """Run the program, which is built, with a new harness: these behaviours, or all of them.

    With the URL of an empty `database`, the gateways are replicas on it.
    """
    done = await harness.run((*language.run, *names), language.place, database, patience=RUN_TIMEOUT)
    return judged(done.stdout, done.returncode, done.stderr, partial=language.partial or bool(names))


def run_all(languages: Iterable[Language], run: Callable[[Language], Awaitable[Results]]) -> dict[str, Results]:
    """Build and run a program of each language; return the results by the language's name.

    The programs run at the same time, because they mostly wait. A run that fails is a fault of its language only.

    All are built before the first gateway starts. A thread that starts a process while gateways of this process stop
    and start would make their stores and ports look used: until it executes its program, the new process has all open
    files of this one.
    """
    chosen = list(languages)
    with ThreadPoolExecutor() as threads:
        built = dict(zip(chosen, threads.map(_build, chosen), strict=True))

    async def outcome(language: Language) -> Results:
        if built[language]:
            return Results(faults=[f"does not build: {built[language]}"])
        try:
            return await run(language)
        except Exception:
            return Results(faults=[traceback.format_exc()])

    async def outcomes() -> dict[str, Results]:
        return dict(zip((one.name for one in chosen), await asyncio.gather(*map(outcome, chosen)), strict=True))

    return asyncio.run(outcomes())


def selected(languages: Iterable[Language], request: pytest.FixtureRequest) -> list[Language]:
    """Return the languages for which a test of the requesting module is selected, and whose toolchain is here."""
    names = [item.name for item in request.session.items if item.path == request.path]
    return [one for one in languages if one.here and any(name.endswith(f"[{one.name}]") for name in names)]


def for_each(languages: Iterable[Language]) -> pytest.MarkDecorator:
    """Parametrize a test with `language`. A test whose toolchain is missing is skipped."""
    params = [pytest.param(one, marks=pytest.mark.toolchain(one.toolchain), id=one.name) for one in languages]
    return pytest.mark.parametrize("language", params)


def judged(stdout: str, exit_code: int, stderr: str, *, partial: bool) -> Results:
    """Check the output of a program against the list of behaviours."""
    results = Results(stderr=stderr)
    for line in stdout.splitlines():
        try:
            result = json.loads(line)
            name, ok = result["behaviour"], result["ok"]
        except (ValueError, KeyError, TypeError):
            results.faults.append(f"not a result line: {line[:200]}")
            continue
        if name not in BEHAVIOURS:
            results.faults.append(f"{name}: is not in behaviours.json")
        elif name in results.held:
            results.faults.append(f"{name}: reported twice")
        elif type(ok) is not bool:
            results.faults.append(f"{name}: ok is {ok!r}")
        else:
            results.held[name] = ok
            if not ok:
                results.faults.append(f"{name}: {result.get('error') or 'no error text'}")
    results.faults += [f"a warning on stderr: {line}" for line in stderr.splitlines() if _WARNING.search(line)]
    if not partial:
        results.faults += [f"{name}: not reported" for name in BEHAVIOURS if name not in results.held]
    if exit_code not in (0, 1) or (exit_code != 0 and all(results.held.values())):
        results.faults.append(f"the program ended with exit code {exit_code}")
    return results


def _build(language: Language) -> str:
    """Run the build of a program, and kill its process group at the timeout. Returns why it failed, if it did."""
    if not language.build:
        return ""
    with subprocess.Popen(
        language.build, cwd=language.place, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, errors="replace", start_new_session=True,
    ) as process:  # fmt: skip
        try:
            out, err = process.communicate(timeout=BUILD_TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            err += f"\nended after {BUILD_TIMEOUT:g} s"
    return "" if process.returncode == 0 else f"exit code {process.returncode}\n{out}{err}"
