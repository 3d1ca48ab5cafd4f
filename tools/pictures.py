#!/usr/bin/env python3
"""Make the pictures in the README: a screenshot of the live page, and the output of `hfgateway demo` as an SVG.

Run this after a visible change of the page or the demo. It starts a sandbox and a gateway, and requires Chromium.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import httpx
from playwright.sync_api import expect, sync_playwright
from rich.console import Console
from rich.highlighter import RegexHighlighter
from rich.theme import Theme

from hfgateway_client import Client, dop, soul

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
PAGE, TERMINAL = IMAGES / "page.png", IMAGES / "demo.svg"
MAX_BYTES = 150_000
"""Size limit of a picture in bytes."""

WIDTH, HEIGHT = 1280, 940
"""Size of the screenshot in pixels."""
COLUMNS = 116
"""Width of the terminal in characters."""
TIMEOUT = 60.0
"""Limit of every wait in seconds."""
SANDBOX_READY = re.compile(r"sandbox answers at (\S+)\n")
GATEWAY_READY = re.compile(r"hfgateway: gRPC on (\S+), HTTP on (\S+), ")

FINISHED = ("a lighthouse at dusk", "a fox in the snow", "paper boats on a pond", "a heron at dawn", "a night train")
RUNNING = ("an owl at noon", "a harbour in fog", "a street at night", "a glass whale")
WAITING = ("a tram in the rain", "a kite above dunes", "a market in spring")


class Output(RegexHighlighter):
    """Colours the output like the demo does on a terminal."""

    base_style = "demo."
    highlights = (r"(?P<step>^\d\. .*)", r"(?P<uncertain>UNCERTAIN)", r"(?P<good>COMPLETED|charged 1 time.*)")


def clean_environment() -> dict[str, str]:
    """Return the environment without HF_*, HFGATEWAY_* and proxy variables."""
    unwanted = ("HF_", "HFGATEWAY_")
    return {n: v for n, v in os.environ.items() if not n.startswith(unwanted) and not n.lower().endswith("_proxy")}


@contextmanager
def process(
    folder: Path, ready: re.Pattern[str], environment: Mapping[str, str], *arguments: str
) -> Iterator[tuple[str, ...]]:
    """Run `hfgateway` with these arguments during the block; yield the groups of the match of `ready` in its output.

    Raises SystemExit if the process ends before that, or prints no such line within TIMEOUT.
    """
    log = folder / f"{arguments[0]}.log"
    with log.open("wb") as output:
        command = (sys.executable, "-m", "gateway", *arguments)
        running = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + TIMEOUT
        while (match := ready.search(log.read_text())) is None:
            if running.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"pictures: {arguments[0]} did not start:\n{log.read_text()}")
            time.sleep(0.1)
        yield match.groups()
    finally:
        running.terminate()
        running.wait(TIMEOUT)


@contextmanager
def gateway(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Run a sandbox and a gateway; yield the sandbox's URL, and the gateway's gRPC address and URL."""
    environment = clean_environment() | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    sandbox = process(folder, SANDBOX_READY, environment, "sandbox", "--port", "0", "--time-scale", "4")
    with sandbox as (upstream,):
        settings = {
            "HF_KEY": "sandbox:sandbox",
            "HFGATEWAY_UPSTREAM_URL": upstream,
            "HFGATEWAY_STORE_URL": f"sqlite:///{folder}/hfgateway.db",
            "HFGATEWAY_GRPC_ADDRESS": "127.0.0.1:0",
            "HFGATEWAY_HTTP_ADDRESS": "127.0.0.1:0",
            "HFGATEWAY_UPSTREAM_CONCURRENCY": str(len(RUNNING)),
            "HFGATEWAY_POLL_MIN": "0.5",
            "HFGATEWAY_POLL_MAX": "0.5",
        }
        with process(folder, GATEWAY_READY, environment | settings, "serve") as (address, url):
            yield upstream, address, url


def picture_page(folder: Path) -> None:
    """Submit generations to a gateway, and save a screenshot of the live page."""
    with gateway(folder) as (upstream, address, url):
        with Client(address) as client:
            generate(client, upstream)
        save_page(url)


def generate(client: Client, upstream: str) -> None:
    """Complete a video and some images, then leave some images running and others queued."""
    client.generate(dop("the light turns", "https://example.com/lighthouse.png"))
    for prompt in FINISHED:
        client.generate(soul(prompt), labels={"team": "red"})
    httpx.post(f"{upstream}/__account", json={"image_seconds": 3600}, trust_env=False).raise_for_status()
    for prompt in RUNNING:
        wait_until_running(client, client.submit(soul(prompt), labels={"team": "red"}).id)
    for prompt in WAITING:
        client.submit(soul(prompt), labels={"team": "blue"}, wait_for="stored")


def wait_until_running(client: Client, generation_id: str) -> None:
    for generation in client.watch(generation_id, timeout=TIMEOUT):
        if generation.HasField("start_time"):
            return


def save_page(url: str) -> None:
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(url)
        expect(page.locator("#line")).to_have_text("Live", timeout=TIMEOUT * 1000)
        expect(page.locator("#ended-list article")).to_have_count(len(FINISHED) + 1, timeout=TIMEOUT * 1000)
        seen = "[...document.images].filter(image => image.getBoundingClientRect().top < innerHeight)"
        page.wait_for_function(f"() => {seen}.every(image => image.naturalWidth > 0)", timeout=TIMEOUT * 1000)
        page.screenshot(path=PAGE)
        browser.close()


def picture_terminal(folder: Path) -> None:
    """Run `hfgateway demo`, and save its output as an SVG that uses only the reader's own fonts."""
    environment = clean_environment() | {"PYTHONPATH": str(ROOT)}
    command = (sys.executable, "-m", "gateway", "demo")
    demo = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    theme = Theme({"demo.step": "bold", "demo.uncertain": "bold yellow", "demo.good": "bold green"})
    console = Console(record=True, width=COLUMNS, file=StringIO(), theme=theme, highlighter=Output())
    console.print("$ hfgateway demo\n")
    for line in demo.stdout.splitlines():
        console.print(line, markup=False, soft_wrap=False)
    svg = console.export_svg(title="hfgateway demo", unique_id="demo")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    TERMINAL.write_text(re.sub(r"font-family: [^;]+;", "font-family: monospace;", svg))


def main() -> int:
    """Return 0, or 1 if a picture is too large."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="hfgateway-pictures-") as folder:
        picture_page(Path(folder))
        picture_terminal(Path(folder))
    for picture in (PAGE, TERMINAL):
        print(f"pictures: wrote {picture.relative_to(ROOT)}, {picture.stat().st_size:,} bytes")
    return int(any(picture.stat().st_size > MAX_BYTES for picture in (PAGE, TERMINAL)))


if __name__ == "__main__":
    sys.exit(main())
