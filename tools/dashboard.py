#!/usr/bin/env python3
"""Draw the Grafana dashboard of `deploy/monitoring/` for the documentation, as an SVG with the data of a real gateway.

It is not a picture of Grafana, of which there is no Debian package: this program runs the queries of the panels in a
Prometheus, and draws the results. Run it after a change of the dashboard.
"""

from __future__ import annotations

import itertools
import json
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from hfgateway_client import Client, GatewayError, GenerationFailed, soul
from tools.pictures import IMAGES, ROOT, TIMEOUT, gateway

DASHBOARD = ROOT / "deploy" / "monitoring" / "dashboard.json"
PICTURE = IMAGES / "dashboard.svg"
LOAD_SECONDS, DRAWN_SECONDS = 600, 300
"""The rates of the queries cover five minutes, so the first five are not drawn."""
PROMPTS = ("a fox in the snow", "an owl at noon [nsfw]", "a heron at dawn", "a night train [fail]", "a glass whale")
COLUMN, ROW, GAP = 52, 30, 4
"""The size of a unit of the dashboard's grid, and the space around a panel, in pixels."""
COLORS = ("#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#c0d8ff")
UNITS = {"s": (1000, " ms"), "reqps": (1, "/s"), "bytes": (1 / 2**20, " MiB"), "percentunit": (100, " %")}
"""A factor and a suffix for the values of a unit of Grafana."""

Series = list[tuple[str, list[tuple[float, float]]]]
"""The name of each series, and its points: the time in seconds and the value."""


def panels() -> list[Any]:
    """Return the panels of the dashboard. Their "targets" are queries."""
    found: list[Any] = json.loads(DASHBOARD.read_text())["panels"]
    return found


@contextmanager
def prometheus(folder: Path, url: str) -> Iterator[httpx.Client]:
    """Run a Prometheus that scrapes a gateway, by the URL of its HTTP port; yield a client of its API."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    jobs = [{"job_name": "hfgateway", "static_configs": [{"targets": [url.removeprefix("http://")]}]}]
    settings = folder / "prometheus.json"
    settings.write_text(json.dumps({"global": {"scrape_interval": "500ms"}, "scrape_configs": jobs}))
    options = (f"--config.file={settings}", f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={address}")
    with (folder / "prometheus.log").open("wb") as log:
        running = subprocess.Popen(("prometheus", *options), stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://{address}", trust_env=False) as client:
            deadline = time.monotonic() + TIMEOUT
            while True:
                with suppress(httpx.TransportError):
                    if client.get("/-/ready").status_code == 200:
                        break
                if running.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"dashboard: Prometheus did not start:\n{(folder / 'prometheus.log').read_text()}")
                time.sleep(0.1)
            yield client
    finally:
        running.terminate()
        running.wait(TIMEOUT)


def series(client: httpx.Client, target: Any, start: float, end: float) -> Series:
    """Return the results of a query of a panel between two times, in seconds since the epoch."""
    asked: dict[str, Any] = {"query": target["expr"], "start": start, "end": end, "step": max(1.0, (end - start) / 120)}
    answer = client.get("/api/v1/query_range", params=asked).raise_for_status()
    found: Series = []
    for one in answer.json()["data"]["result"]:
        points = [(float(at), float(value)) for at, value in one["values"] if value != "NaN"]
        if points:
            found.append((_named(target.get("legendFormat", ""), one["metric"]), points))
    return found


def _named(legend: str, labels: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda label: labels.get(label[1], ""), legend)


class Receiver(BaseHTTPRequestHandler):
    """Accepts the deliveries of a callback."""

    def do_POST(self) -> None:
        """Respond with 204."""
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response_only(204)
        self.end_headers()


def load(address: str, url: str, seconds: float) -> None:
    """Generate and read images for this time, with failures, invalid requests, and a callback for the ends."""
    end = time.monotonic() + seconds
    with Client(address) as client, ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as receiver:
        threading.Thread(target=receiver.serve_forever).start()

        def generate() -> None:
            while time.monotonic() < end:
                for prompt in PROMPTS:
                    with suppress(GenerationFailed):
                        client.get(client.generate(soul(prompt)).id)
                with suppress(GatewayError):
                    client.submit(soul(""))
                httpx.get(f"{url}/healthz", headers={"Host": "elsewhere.example"}, trust_env=False)

        client.create_callback(f"http://127.0.0.1:{receiver.server_port}/")
        workers = [threading.Thread(target=generate) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        receiver.shutdown()


def drawn(panel: Any, found: Series, start: float, end: float) -> str:
    """Return a panel as SVG."""
    at = panel["gridPos"]
    x, y, width, height = at["x"] * COLUMN, at["y"] * ROW, at["w"] * COLUMN - GAP, at["h"] * ROW - GAP
    shown = panel["fieldConfig"]["defaults"]
    factor, suffix = UNITS.get(shown.get("unit", ""), (1, ""))
    content = f'<rect width="{width}" height="{height}" fill="#181b1f" rx="3"/>'
    content += f'<text x="10" y="20" fill="#ccccdc">{escape(panel["title"])}</text>'
    if panel["type"] == "stat" or not found:
        last = f"{found[0][1][-1][1] * factor:g}" if found else "No data"
        names = shown["mappings"][0]["options"] if "mappings" in shown else {}
        middle = f'x="{width / 2}" y="{height / 2 + 24}" text-anchor="middle" font-size="40"'
        content += f'<text {middle} fill="{COLORS[0]}">{names.get(last, {"text": last})["text"]}</text>'
    else:
        content += _plotted(found, factor, suffix, (70, 36, width - 14, height - 44), (start, end))
    return f'<svg x="{x}" y="{y}" width="{width}" height="{height}">{content}</svg>'


def _plotted(
    found: Series, factor: float, suffix: str, box: tuple[int, int, int, int], times: tuple[float, float]
) -> str:
    """Return the lines of series in a box (left, top, right, bottom), and a legend below."""
    (left, top, right, bottom), (start, end) = box, times
    most = max(value for _, points in found for _, value in points) * factor * 1.1 or 1.0
    content = legend = ""
    for step in range(4):
        level = round(bottom - (bottom - top) * step / 3)
        content += f'<path d="M{left} {level}H{right}" stroke="#2c3036"/>'
        number = f'x="{left - 6}" y="{level + 4}" text-anchor="end" fill="#8e8e9a"'
        content += f"<text {number}>{most * step / 3:.3g}{suffix}</text>"
    for (name, points), color in zip(found, itertools.cycle(COLORS), strict=False):
        line = ""
        for at, value in points:
            x = left + (right - left) * (at - start) / (end - start)
            line += f"{x:.0f},{bottom - (bottom - top) * value * factor / most:.1f} "
        content += f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="1.5"/>'
        # A method is shown without its service.
        legend += f'<tspan fill="{color}">― </tspan><tspan fill="#ccccdc">{escape(name.rpartition("/")[2])}  </tspan>'
    return content + f'<text x="10" y="{bottom + 30}" xml:space="preserve" font-size="11">{legend}</text>'


def main() -> int:
    """Write the picture."""
    with tempfile.TemporaryDirectory(prefix="hfgateway-dashboard-") as name:
        folder = Path(name)
        with gateway(folder) as (_, address, url), prometheus(folder, url) as client:
            load(address, url, LOAD_SECONDS)
            end = time.time()
            start = end - DRAWN_SECONDS
            pictures = []
            for panel in panels():
                found = [one for target in panel["targets"] for one in series(client, target, start, end)]
                pictures.append(drawn(panel, found, start, end))
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels()) * ROW
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-{GAP} -{GAP} {24 * COLUMN + GAP} {height + GAP}"'
    ground = f'<rect x="-{GAP}" y="-{GAP}" width="100%" height="100%" fill="#111217"/>'
    PICTURE.write_text(f'{head} font-family="sans-serif" font-size="13">{ground}{"".join(pictures)}</svg>\n')
    print(f"dashboard: wrote {PICTURE.relative_to(ROOT)}, {PICTURE.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
