"""`hfgateway demo`: a sandbox and a gateway of its own, two generations, and a lost answer that is charged once.

It uses what everybody has: the commands `sandbox` and `serve`, the Python client, and the sandbox's ledger.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import RenderableType

    from hfgateway_client import Client, Generation

FOLDER = Path("hfgateway-demo")
LOST_PROMPT = "a lighthouse in a storm"

_ANY_PORT = "127.0.0.1:0"
_SANDBOX_IS_READY = re.compile(r"^sandbox answers at (\S+)\n", re.MULTILINE)
_GATEWAY_IS_READY = re.compile(r"^hfgateway: gRPC on (\S+), HTTP on (\S+), .*\n", re.MULTILINE)
_TIME_SCALE = "2"  # twice as fast as the sandbox's usual: long enough to watch, short enough to wait for
_START_TIMEOUT = 15.0
_STEP_TIMEOUT = 30.0


class DemoError(Exception):
    """A step did not go as promised; says which, and what is known."""


@click.command()
def demo() -> int:
    """Start a sandbox and a gateway, generate an image and a video, lose an answer, and count the charges.

    Needs no credentials, costs nothing, and cleans up behind itself; what it generated stays in ./hfgateway-demo.
    """
    from hfgateway_client import Client, GatewayError

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))  # so that the processes are ended, too
    began = time.monotonic()
    try:
        with _stage() as (address, sandbox_url), Client(address) as client:
            _generate_two(client)
            _lose_an_answer(client, sandbox_url)
    except (DemoError, GatewayError) as error:
        click.echo(f"\nthe demo failed: {error}", err=True)
        return 1
    click.echo(f"\nAll done in {time.monotonic() - began:.0f} s; both processes are stopped.")
    click.echo("Go on with `hfgateway sandbox` and `hfgateway serve`, or with credentials of your own.")
    return 0


@contextmanager
def _stage() -> Iterator[tuple[str, str]]:
    """A sandbox and a gateway in front of it, as processes; yields the gateway's address and the sandbox's URL."""
    with tempfile.TemporaryDirectory(prefix="hfgateway-demo-") as folder:
        # The caller's own settings stay outside: nothing here may reach a real account.
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HFGATEWAY_"))}
        settings = {
            "HF_KEY": "sandbox:sandbox",
            "HFGATEWAY_GRPC_ADDRESS": _ANY_PORT,
            "HFGATEWAY_HTTP_ADDRESS": _ANY_PORT,
            "HFGATEWAY_STORE_URL": f"sqlite:///{folder}/hfgateway.db",
            "HFGATEWAY_POLL_MIN": "1",
            "HFGATEWAY_POLL_MAX": "1",  # who looks on wants to see it move
            "HFGATEWAY_DRAIN": "2",
        }
        click.echo("1. Starting a sandbox (a Higgsfield of our own) and a gateway in front of it")
        sandbox_command = ("sandbox", "--port", "0", "--time-scale", _TIME_SCALE)
        with _process(sandbox_command, ours, Path(folder), _SANDBOX_IS_READY) as (sandbox_url,):
            click.echo(f"   sandbox at {sandbox_url}")
            settings["HFGATEWAY_UPSTREAM_URL"] = sandbox_url
            with _process(("serve",), ours | settings, Path(folder), _GATEWAY_IS_READY) as (address, http_url):
                click.echo(f"   gateway at {address} (gRPC) and {http_url} (HTTP)")
                yield address, sandbox_url


@contextmanager
def _process(
    arguments: tuple[str, ...], environment: Mapping[str, str], folder: Path, ready: re.Pattern[str]
) -> Iterator[tuple[str, ...]]:
    """`python -m gateway …`, once it says that it is ready; ended, by force if need be, when the block ends.

    Yields what it says of itself then: the groups of the pattern.
    """
    log = folder / f"{arguments[0]}.log"
    process = None
    try:
        with log.open("wb") as output, _uninterrupted():
            # A session of its own: Ctrl-C is for us, and we end it in order.
            process = subprocess.Popen(  # noqa: S603 - our own commands and numbers
                (sys.executable, "-m", "gateway", *arguments),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        yield _said(process, log, ready)
    finally:
        if process is not None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Signals that would end us do so after the block: a process that begins in it must be known, to be ended too."""
    came: list[int] = []
    ours = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = {number: signal.signal(number, lambda number, _frame: came.append(number)) for number in ours}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for one in came:
        signal.raise_signal(one)


def _said(process: subprocess.Popen[bytes], log: Path, ready: re.Pattern[str]) -> tuple[str, ...]:
    give_up = time.monotonic() + _START_TIMEOUT
    while (said := ready.search(log.read_text(errors="replace"))) is None:
        if process.poll() is not None or time.monotonic() > give_up:
            raise DemoError(f"`{log.stem}` did not start. It said:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)
    return said.groups()


def _generate_two(client: Client) -> None:
    from hfgateway_client import dop, soul

    click.echo("\n2. Generating an image and a video at the same time, watching both on one stream")
    image = client.submit(soul("a lighthouse at dusk"), wait_for="stored")
    video = client.submit(dop("the light turns", "https://example.com/lighthouse.png"), wait_for="stored")
    ended = _follow(client, {image.id: "image", video.id: "video"})
    for generation in ended:
        for path in _save(generation):
            click.echo(f"   saved {path} ({path.stat().st_size:,} bytes)")


def _lose_an_answer(client: Client, sandbox_url: str) -> None:
    """The worst moment: created and charged, and nobody was told."""
    import httpx

    from hfgateway_client import soul

    click.echo("\n3. Losing an answer on purpose: the sandbox generates, charges, and then answers 502 Bad Gateway")
    fault = {"on": "submit", "kind": "502", "processed": True, "prompt": LOST_PROMPT}
    with httpx.Client(base_url=sandbox_url, trust_env=False) as sandbox:
        sandbox.post("/__plan", json={"faults": [fault]}).raise_for_status()
        submission = client.submit(soul(LOST_PROMPT), wait_for="stored")
        _follow(client, {submission.id: "image"})
        ledger = sandbox.get("/__ledger").raise_for_status().json()

    sent = [entry for entry in ledger["submissions"] if entry["prompt"] == LOST_PROMPT]
    charges = [entry for entry in ledger["charges"] if entry["prompt"] == LOST_PROMPT]
    click.echo("   The sandbox's ledger of it:")
    for entry in sent:
        meaning = "key known, nothing new" if entry["replayed"] else "generated and charged"
        click.echo(f"   POST  key {entry['idempotency_key']}  {meaning}, answered {entry['outcome']}")
    credits = " + ".join(entry["credits"] for entry in charges)
    click.echo(f"   charged {len(charges)} time{'' if len(charges) == 1 else 's'} ({credits} credits)")
    if len(charges) != 1:
        raise DemoError("it should have been charged exactly once")


def _follow(client: Client, names: Mapping[str, str]) -> list[Generation]:
    """Show the generations until all are done; returns them in the order of their names."""
    from hfgateway_client import GenerationChanged, GenerationState, error_from_generation

    newest: dict[str, Generation] = {}
    with _showing(names) as show:
        for event in client.watch_many(ids=names, timeout=_STEP_TIMEOUT):
            if isinstance(event, GenerationChanged):
                newest[event.generation.id] = event.generation
                show(event.generation)
    for generation in newest.values():
        if generation.state != GenerationState.GENERATION_STATE_COMPLETED:
            raise DemoError(str(error_from_generation(generation)))
    return [newest[generation_id] for generation_id in names]


@contextmanager
def _showing(names: Mapping[str, str]) -> Iterator[Any]:
    """A function that shows a generation: in place on a terminal, as a line elsewhere."""
    from rich.console import Console
    from rich.live import Live

    board = _Board(names)
    console = Console()
    if not console.is_terminal:
        yield board.print_line
        return
    with Live(console=console, get_renderable=board.draw, refresh_per_second=10):
        yield board.update


class _Board:
    """The newest state of each generation, and since when it is watched."""

    def __init__(self, names: Mapping[str, str]) -> None:
        from rich.spinner import Spinner

        self._names = names
        self._began = time.monotonic()
        self._spinner = Spinner("dots")
        self._rows: dict[str, tuple[str, float | None]] = dict.fromkeys(names, ("SUBMITTED", None))

    def update(self, generation: Generation) -> None:
        """Take over what is new."""
        from hfgateway_client import state_name

        elapsed = time.monotonic() - self._began
        self._rows[generation.id] = (state_name(generation), elapsed if generation.done else None)

    def print_line(self, generation: Generation) -> None:
        """Say what is new."""
        self.update(generation)
        elapsed = time.monotonic() - self._began
        click.echo(f"   {elapsed:5.1f}s  {self._names[generation.id]}  {self._rows[generation.id][0]}")

    def draw(self) -> RenderableType:
        """All of it, as of now."""
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 1))
        for generation_id, (state, ended) in self._rows.items():
            elapsed = time.monotonic() - self._began if ended is None else ended
            mark = self._spinner if ended is None else Text(" ")
            style = "bold green" if state == "COMPLETED" else "bold yellow" if state == "UNCERTAIN" else "bold"
            table.add_row("  ", mark, f"{elapsed:5.1f}s", self._names[generation_id], Text(state, style))
        return table


def _save(generation: Generation) -> Iterator[Path]:
    import httpx

    FOLDER.mkdir(exist_ok=True)
    for number, output in enumerate(generation.outputs, 1):
        path = FOLDER / f"{generation.id}-{number}{Path(output.url).suffix}"
        path.write_bytes(httpx.get(output.url, trust_env=False).raise_for_status().content)
        yield path
