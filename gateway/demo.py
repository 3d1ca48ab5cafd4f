"""`hfgateway demo`: starts a sandbox and a gateway, generates two outputs, and loses a response that is charged once.

It uses only public interfaces: the commands `sandbox` and `serve`, the Python client, and the sandbox's ledger.
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
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.settings.extras import missing

if TYPE_CHECKING:
    from rich.console import RenderableType

    from hfgateway_client import Client, Generation

FOLDER = Path("hfgateway-demo")
LOST_PROMPT = "a lighthouse in a storm"

_ANY_PORT = "127.0.0.1:0"
_SANDBOX_IS_READY = re.compile(r"^sandbox answers at (\S+)\n", re.MULTILINE)
_GATEWAY_IS_READY = re.compile(r"^hfgateway: gRPC on (\S+), HTTP on (\S+), .*\n", re.MULTILINE)
_TIME_SCALE = "2"  # twice the sandbox's usual speed: slow enough to watch, fast enough to wait for
_START_TIMEOUT = 15.0
_STEP_TIMEOUT = 30.0


class DemoError(Exception):
    """A step of the demo failed; the message says which one and why."""


@click.command()
def demo() -> int:
    """Start a sandbox and a gateway, generate an image and a video, lose a response, and count the charges.

    Needs no credentials and costs nothing. Both processes are stopped at the end; the outputs stay in ./hfgateway-demo.

    Exit codes: 0 done; 1 the demo failed.
    """
    from hfgateway_client import Client, GatewayError

    if not (find_spec("PIL") and find_spec("av")):
        click.echo(f"the demo {missing('sandbox')}", err=True)
        return 1
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))  # so that both processes are stopped
    began = time.monotonic()
    try:
        FOLDER.mkdir(exist_ok=True)
    except OSError as error:
        click.echo(f"the demo failed: {FOLDER}: cannot be created ({error.strerror})", err=True)
        return 1
    try:
        with _sandbox_and_gateway() as (address, sandbox_url), Client(address, api_key="") as client:
            _generate_two(client)
            _lose_a_response(client, sandbox_url)
    except (DemoError, GatewayError, OSError) as error:
        click.echo(f"\nthe demo failed: {error}", err=True)
        return 1
    click.echo(f"\nDone in {time.monotonic() - began:.0f} s. Both processes are stopped.")
    click.echo(
        "Next: `hfgateway sandbox` and `hfgateway serve`, or `hfgateway serve` with your Higgsfield credentials."
    )
    return 0


@contextmanager
def _sandbox_and_gateway() -> Iterator[tuple[str, str]]:
    """Run a sandbox, and a gateway in front of it; yield the gateway's address and the sandbox's URL."""
    with tempfile.TemporaryDirectory(prefix="hfgateway-demo-") as folder:
        # Drop the user's own settings, so that nothing can reach a real account.
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HFGATEWAY_"))}
        settings = {
            "HF_KEY": "sandbox:sandbox",
            "HFGATEWAY_GRPC_ADDRESS": _ANY_PORT,
            "HFGATEWAY_HTTP_ADDRESS": _ANY_PORT,
            "HFGATEWAY_STORE_URL": f"sqlite:///{folder}/hfgateway.db",
            "HFGATEWAY_LOG_FORMAT": "console",
            "HFGATEWAY_POLL_MIN": "1",
            "HFGATEWAY_POLL_MAX": "1",  # so that progress is visible
            "HFGATEWAY_DRAIN": "2",
        }
        click.echo("1. Starting a sandbox (a simulated Higgsfield) and a gateway in front of it")
        sandbox_command = ("sandbox", "--port", "0", "--time-scale", _TIME_SCALE)
        with _process(sandbox_command, environment, Path(folder), _SANDBOX_IS_READY) as (sandbox_url,):
            click.echo(f"   sandbox at {sandbox_url}")
            settings["HFGATEWAY_UPSTREAM_URL"] = sandbox_url
            with _process(("serve",), environment | settings, Path(folder), _GATEWAY_IS_READY) as (address, http_url):
                click.echo(f"   gateway at {address} (gRPC) and {http_url} (HTTP)")
                yield address, sandbox_url


@contextmanager
def _process(
    arguments: tuple[str, ...], environment: Mapping[str, str], folder: Path, ready: re.Pattern[str]
) -> Iterator[tuple[str, ...]]:
    """Run `python -m gateway …` during the block, and stop it at the end, with SIGKILL after 10 s.

    When its output matches `ready`, yield the groups of the match. Raises DemoError if it does not become ready.
    """
    log = folder / f"{arguments[0]}.log"
    process = None
    try:
        with log.open("wb") as output, _signals_deferred():
            # Its own session, so that Ctrl-C reaches only this process, which stops the others in order.
            process = subprocess.Popen(  # noqa: S603 - the arguments are constants
                (sys.executable, "-m", "gateway", *arguments),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        yield _wait_until_ready(process, log, ready)
    finally:
        if process is not None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def _signals_deferred() -> Iterator[None]:
    """Defer SIGINT, SIGTERM and SIGHUP until the block ends, so that a process started in it is always stopped."""
    received: list[int] = []
    deferred = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = {number: signal.signal(number, lambda number, _frame: received.append(number)) for number in deferred}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for signal_number in received:
        signal.raise_signal(signal_number)


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path, ready: re.Pattern[str]) -> tuple[str, ...]:
    give_up_at = time.monotonic() + _START_TIMEOUT
    while (match := ready.search(log.read_text(errors="replace"))) is None:
        if process.poll() is not None or time.monotonic() > give_up_at:
            raise DemoError(f"`{log.stem}` did not start. Its output:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)
    return match.groups()


def _generate_two(client: Client) -> None:
    from hfgateway_client import dop, soul

    click.echo("\n2. Generating an image and a video at the same time, watching both on one stream")
    image = client.submit(soul("a lighthouse at dusk"), wait_for="stored")
    video = client.submit(dop("the light turns", "https://example.com/lighthouse.png"), wait_for="stored")
    ended = _follow(client, {image.id: "image", video.id: "video"})
    for generation in ended:
        for path in _save(generation):
            click.echo(f"   saved {path} ({path.stat().st_size:,} bytes)")


def _lose_a_response(client: Client, sandbox_url: str) -> None:
    """Submit while the sandbox generates and charges but answers 502: the outcome is unknown to the gateway."""
    import httpx

    from hfgateway_client import soul

    click.echo("\n3. Losing a response on purpose: the sandbox generates and charges, but answers 502 Bad Gateway")
    fault = {"on": "submit", "kind": "502", "processed": True, "prompt": LOST_PROMPT}
    with httpx.Client(base_url=sandbox_url, trust_env=False) as sandbox:
        sandbox.post("/__plan", json={"faults": [fault]}).raise_for_status()
        submission = client.submit(soul(LOST_PROMPT), wait_for="stored")
        _follow(client, {submission.id: "image"})
        ledger = sandbox.get("/__ledger").raise_for_status().json()

    sent = [entry for entry in ledger["submissions"] if entry["prompt"] == LOST_PROMPT]
    charges = [entry for entry in ledger["charges"] if entry["prompt"] == LOST_PROMPT]
    click.echo("   The sandbox's ledger shows:")
    for entry in sent:
        effect = "known key, not charged again" if entry["replayed"] else "generated and charged"
        click.echo(f"   POST  key {entry['idempotency_key']}  {effect}, answered {entry['outcome']}")
    credits = " + ".join(entry["credits"] for entry in charges)
    click.echo(f"   charged {len(charges)} time{'' if len(charges) == 1 else 's'} ({credits} credits)")
    if len(charges) != 1:
        raise DemoError("the generation should have been charged exactly once")


def _follow(client: Client, names: Mapping[str, str]) -> list[Generation]:
    """Show the generations until all are done; return them in the order of `names`."""
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
    """Yield a function that shows a generation: in a live table on a terminal, else as a line."""
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
    """The newest state of each generation, and the seconds since the start."""

    def __init__(self, names: Mapping[str, str]) -> None:
        from rich.spinner import Spinner

        self._names = names
        self._began = time.monotonic()
        self._spinner = Spinner("dots")
        self._rows: dict[str, tuple[str, float | None]] = dict.fromkeys(names, ("SUBMITTED", None))

    def update(self, generation: Generation) -> None:
        """Store the state of a generation for the next `draw`."""
        from hfgateway_client import state_name

        elapsed = time.monotonic() - self._began
        self._rows[generation.id] = (state_name(generation), elapsed if generation.done else None)

    def print_line(self, generation: Generation) -> None:
        """Print the state of a generation as one line."""
        self.update(generation)
        elapsed = time.monotonic() - self._began
        click.echo(f"   {elapsed:5.1f}s  {self._names[generation.id]}  {self._rows[generation.id][0]}")

    def draw(self) -> RenderableType:
        """Return the table with the current times."""
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

    for number, output in enumerate(generation.outputs, 1):
        path = FOLDER / f"{generation.id}-{number}{Path(output.url).suffix}"
        path.write_bytes(httpx.get(output.url, trust_env=False).raise_for_status().content)
        yield path
