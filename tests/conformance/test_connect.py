"""The official conformance runner against the HTTP stack: Connect and gRPC-Web, both codecs, with and without gzip."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.conformance.toolbox import program, run, stubs

pytestmark = [pytest.mark.toolchain("go"), pytest.mark.timeout(900)]
HERE = Path(__file__).parent
CASES = 600
FLAKY = 8


def test_the_http_port_speaks_connect_and_grpc_web() -> None:
    report = run(
        program("connectconformance"), "--mode", "server", "--conf", HERE / "config.yaml",
        "--known-flaky", f"@{HERE / 'known-flaky.txt'}",
        "--", sys.executable, "-m", "tests.conformance.server", stubs(),
    )  # fmt: skip
    counted = re.search(r"^(\d+) passed, (\d+) failed", report, re.MULTILINE)
    assert counted is not None, report
    # The runner counts the failures of known flaky cases on a separate line, which it omits if there are none; any
    # other failure ends it with an error.
    excused = re.search(r"^\(Another (\d+) failed", report, re.MULTILINE)
    flaky = int(excused[1]) if excused else 0
    passed, failed = int(counted[1]), int(counted[2])
    assert passed + failed + flaky >= CASES, report
    assert failed == 0, report
    assert flaky <= FLAKY, report
