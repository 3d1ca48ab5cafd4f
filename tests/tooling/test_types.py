"""Wrong programs that must not type-check."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT

HEADER = """
from gateway.generations.model import Generation, GenerationId, Moment, RequestId, State, Steady, Wall

def find(request_id: RequestId) -> None: ...

def age(since: Steady, now: Steady) -> float:
    return now - since

def program(generation: Generation, moment: Moment) -> None:
"""
RIGHT = """
    generation.evolve(moment, state=State.QUEUED, sends=1)
    find(generation.request_id)
    age(generation.spec.created_at, moment.steady)
"""
WRONG = {
    "a misspelt field": ("    generation.evolve(moment, stat=State.QUEUED)", "call-arg"),
    "a field of another type": ('    generation.evolve(moment, sends="many")', "arg-type"),
    "an id of another thing": ("    find(generation.id)", "arg-type"),
    "a time of the other clock": ("    age(generation.spec.create_time, moment.steady)", "arg-type"),
}


def check(folder: Path, body: str) -> str:
    """Return what mypy reports in strict mode about a program with this body."""
    program = folder / "program.py"
    program.write_text(HEADER + body)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(program)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False).stdout


def test_the_right_program_type_checks(tmp_path: Path) -> None:
    assert check(tmp_path, RIGHT) == ""


@pytest.mark.parametrize("name", WRONG)
def test_the_wrong_program_does_not_type_check(tmp_path: Path, name: str) -> None:
    body, code = WRONG[name]
    reported = check(tmp_path, body)
    assert f"[{code}]" in reported, reported
