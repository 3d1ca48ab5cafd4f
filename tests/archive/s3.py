"""A real S3 server as a process: Versity's gateway over a folder, which checks signatures."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conformance import toolbox
from tests.support.addresses import free_address
from tests.support.files import files_below

ACCESS, SECRET = "archive-key", "archive-canary-secret"
BUCKET = "outputs"
READY_TIMEOUT = 20.0
IN_S3 = pytest.param("s3", marks=[pytest.mark.toolchain("go"), pytest.mark.timeout(900)])
"""A parameter for tests with the server. The first one builds it, which takes minutes on a slow machine."""


@contextmanager
def s3_server(folder: Path) -> Iterator[dict[str, str]]:
    """Run the server; yield the environment of its clients. Objects are files in the folder, below BUCKET."""
    (folder / BUCKET).mkdir(parents=True)
    address = free_address()
    command = [str(toolbox.program("versitygw")), "--quiet", "--port", address, "posix", str(folder)]
    credentials = {"ROOT_ACCESS_KEY": ACCESS, "ROOT_SECRET_KEY": SECRET}
    with subprocess.Popen(command, env=os.environ | credentials, stdout=subprocess.DEVNULL) as process:
        try:
            _ready(address)
            yield {
                "AWS_ACCESS_KEY_ID": ACCESS,
                "AWS_SECRET_ACCESS_KEY": SECRET,
                "AWS_REGION": "us-east-1",
                "AWS_ENDPOINT_URL": f"http://{address}",
            }
        finally:
            process.kill()


def unfinished_uploads(folder: Path) -> list[Path]:
    """Return the parts of uploads that were neither completed nor aborted."""
    return files_below(folder / BUCKET / ".sgwtmp" / "multipart")


def _ready(address: str) -> None:
    host, port = address.split(":")
    until = time.monotonic() + READY_TIMEOUT
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return
        time.sleep(0.01)
    raise AssertionError("the S3 server did not start")
