"""`make container-check`: build the image and run it as in production, without a registry of images.

Debian's packages supply the base image and the engine, so that this works where only package registries can be reached.
The image that users build has another base: docker.io/library/python. Needs root, and Debian's packages mmdebstrap,
buildah, podman and runc. Takes about five minutes.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tools.generate import ROOT

PROGRAMS = ("mmdebstrap", "buildah", "podman", "runc")
BASE, IMAGE = "localhost/hfgateway-base", "localhost/hfgateway-check"
START_TIMEOUT = 60.0
"""Seconds until the gateway must be healthy."""
SETTINGS = {
    "HF_KEY": "sandbox:sandbox",
    "HFGATEWAY_UPSTREAM_URL": "http://127.0.0.1:8090",
    "HFGATEWAY_GRPC_ADDRESS": "0.0.0.0:50051",
    "HFGATEWAY_HTTP_ADDRESS": "0.0.0.0:8080",
    "HFGATEWAY_STORE_URL": "sqlite:////var/lib/hfgateway/hfgateway.db",
}
TRIAL = """
set -e
test "$(id -u)" = 10001
! touch /written 2>/dev/null
! touch /opt/hfgateway/written 2>/dev/null
test "$(tr '\\0' ' ' </proc/1/cmdline | cut -d ' ' -f 2-)" = "/opt/hfgateway/bin/hfgateway serve "
HFGATEWAY_API_KEY=$(hfgateway keys create --tenant trial)
export HFGATEWAY_API_KEY
hfgateway generate --gateway 127.0.0.1:50051 "a fox"
"""


def main() -> int:
    """Return the exit code."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing or os.geteuid() != 0:
        needs = f"Debian's packages {' '.join(missing)}" if missing else "root"
        print(f"!!! NOT CHECKED: the container needs {needs}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="hfgateway-container-") as folder:
        check(Path(folder))
    print("container-check: passed. Not checked: the base image of docker.io, and Docker itself", flush=True)
    return 0


def check(folder: Path) -> None:
    """Build and run the image, with all of the engine's files in a folder."""
    storage = ("--root", folder / "images", "--runroot", folder / "run", "--storage-driver", "vfs")

    def buildah(*arguments: str | Path) -> str:
        return run("buildah", *storage, *arguments)

    def podman(*arguments: str | Path, code: int = 0) -> str:
        return run("podman", *storage, "--cgroup-manager", "cgroupfs", "--runtime", "runc", *arguments, code=code)

    print("container-check: making a base image of Debian's packages", flush=True)
    root = folder / "root.tar"
    run("mmdebstrap", "--quiet", "--variant=apt", "--include=python3,python3-venv,ca-certificates", "bookworm", root)
    empty = buildah("from", "scratch").strip()
    buildah("add", "--quiet", empty, root, "/")
    buildah("commit", "--quiet", "--rm", empty, BASE)
    root.unlink()
    print("container-check: building the image", flush=True)
    # This machine's way to its package registry.
    host = [Path("/etc/ssl/certs"), Path("/etc/pip.conf")]
    shared = [part for path in host if path.exists() for part in ("--volume", f"{path}:{path}:ro")]
    buildah(
        "build", "--format", "docker", "--isolation", "chroot", "--network", "host", "--pull-never", *shared,
        "--build-arg", f"BASE={BASE}", "--file", ROOT / "deploy/container/Containerfile", "--tag", IMAGE, ROOT,
    )  # fmt: skip
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    confined: tuple[str, ...] = (
        "--read-only", "--read-only-tmpfs=false", "--tmpfs", "/tmp:size=512m", "--cap-drop", "all", "--security-opt",
        "no-new-privileges", "--ulimit", f"nofile={limit}:{limit}", "--ulimit", "nproc=4096:4096", "--no-healthcheck",
    )  # fmt: skip
    print("container-check: running it", flush=True)
    refused = podman("run", "--rm", "--network", "none", *confined, "--env", "HF_KEY=sandbox:sandbox", IMAGE, code=2)
    assert "--production refuses unsafe settings" in refused, refused
    variables = [part for name, text in SETTINGS.items() for part in ("--env", f"{name}={text}")]
    podman("run", "--detach", "--name", "gateway", "--network", "none", *confined, *variables, IMAGE, "serve")
    try:
        podman("run", "--detach", "--name", "sandbox", "--network", "container:gateway", *confined, IMAGE, "sandbox",
               "--port", "8090")  # fmt: skip
        until_it_succeeds(lambda: podman("exec", "gateway", "python3", "/opt/hfgateway/healthy.py"))
        podman("exec", "gateway", "sh", "-c", TRIAL)
        # SIGTERM, and SIGKILL only after 90 s.
        podman("stop", "--time", "90", "gateway")
        assert podman("inspect", "gateway", "--format", "{{.State.ExitCode}}").strip() == "0"
    finally:
        for name in ("sandbox", "gateway"):
            podman("rm", "--force", "--ignore", name)


def until_it_succeeds(step: Callable[[], object]) -> None:
    """Repeat a step until its command succeeds."""
    end = time.monotonic() + START_TIMEOUT
    while True:
        try:
            step()
        except AssertionError:
            assert time.monotonic() < end, "the gateway does not become healthy"
            time.sleep(0.5)
        else:
            return


def run(*command: str | Path, code: int = 0) -> str:
    """Run a command that must end with this exit code; return its output."""
    done = subprocess.run(
        [str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + (done.stderr if code else "")


if __name__ == "__main__":
    sys.exit(main())
