"""Shows the progress of a generation: live on a terminal, otherwise a line for each change, or JSON for programs.

Except for JSON, progress goes to standard error. Standard output is for results, so that `$(hfgateway generate ...)`
works.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO, cast

import click

from gateway.cli.numbers import Seconds
from gateway.cli.output import StandardStream, echo, plain, print_json

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from hfgateway_client import Generation

timeout_option = click.option(
    "--timeout", type=Seconds(), metavar="SECONDS", help="Stop following after this time. Default: no limit."
)
FORECAST_INTERVAL = 2.0
"""Seconds without a change after which a newer forecast is drawn."""


class Show(Protocol):
    """Shows a generation. Call it after each change, and after each new forecast if it has an interval for them."""

    forecast_interval: float | None

    def __call__(self, generation: Generation) -> None:
        """Show the generation."""


@contextmanager
def showing(*, as_json: bool) -> Iterator[Show]:
    """Yield what shows a generation: live on a terminal, as a line for each change, or as JSON."""
    if as_json:
        yield JsonLines()
        return
    from rich.console import Console

    console = Console(file=cast("TextIO", StandardStream(err=True)))
    if not console.is_terminal or console.is_dumb_terminal:  # rich would draw only the end
        yield Lines()
        return
    from rich.live import Live

    picture = Picture()
    # A thread of rich's redraws it, so that the elapsed time is updated.
    with Live(console=console, get_renderable=picture.draw, refresh_per_second=8, transient=False):
        yield picture


def forecast_of(generation: Generation) -> str:
    """Return the place in the queue, the progress and the time left, as far as they are known."""
    if not generation.HasField("forecast"):
        return ""
    forecast = generation.forecast
    parts = []
    if forecast.queue_position:
        parts.append(f"place {forecast.queue_position} in the queue")
    elif forecast.progress:
        parts.append(f"{forecast.progress:.0%}")
    if forecast.overdue:
        parts.append("takes longer than expected")
    elif forecast.HasField("remaining"):
        seconds = forecast.remaining.ToTimedelta().total_seconds()
        left = f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
        parts.append(f"about {left} left")
    return ", ".join(parts)


class JsonLines:
    """Prints a line of JSON for each change."""

    forecast_interval: float | None = None

    def __call__(self, generation: Generation) -> None:
        print_json(generation)


class Lines:
    """Prints a line for each change, and one for each new output."""

    forecast_interval: float | None = None

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._shown: set[str] = set()

    def __call__(self, generation: Generation) -> None:
        from hfgateway_client import state_name

        line = f"{state_name(generation)}  {generation.id}"
        if forecast := forecast_of(generation):
            line += f"  {forecast}"
        if generation.HasField("delay"):
            line += f"  waits: {generation.delay.message}"
        self._say(line)
        if generation.done:
            return  # the outputs follow as the result, on standard output
        for number, output in enumerate(generation.outputs, 1):
            if output.url and output.url not in self._shown:
                self._shown.add(output.url)
                self._say(f"output {number}  {output.url}")

    def _say(self, text: str) -> None:
        echo(f"{time.monotonic() - self._began:6.1f}s  {text}", err=True)


class Picture:
    """Draws state, elapsed time, forecast and outputs in place. A line that does not fit is cut off."""

    forecast_interval: float | None = FORECAST_INTERVAL

    def __init__(self) -> None:
        from rich.spinner import Spinner

        self._began = time.monotonic()
        self._frames = Spinner("dots").frames
        self._generation: Generation | None = None

    def __call__(self, generation: Generation) -> None:
        self._generation = generation

    def draw(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        from hfgateway_client import state_name

        elapsed = time.monotonic() - self._began
        generation = self._generation
        frame = (
            " " if generation is not None and generation.done else self._frames[int(elapsed * 8) % len(self._frames)]
        )
        headline = Text(f"{frame}{elapsed:7.1f}s  ", no_wrap=True, overflow="ellipsis")
        if generation is None:
            return headline.append("submitting")
        headline.append(state_name(generation), "bold").append(f"  {generation.id}", "dim")
        lines = [headline]
        if generation.done:
            return headline  # the outputs follow as the result, on standard output
        if forecast := forecast_of(generation):
            lines.append(_line(forecast))
        if generation.HasField("delay"):
            lines.append(_line(f"waits: {generation.delay.message}", "yellow"))
        for number, output in enumerate(generation.outputs, 1):
            if output.url:
                lines.append(_line(f"output {number}  {output.url}", f"link {plain(output.url)}"))
        return Group(*lines)


def _line(text: str, style: str = "") -> Text:
    from rich.text import Text

    return Text(f"  {plain(text)}", style, no_wrap=True, overflow="ellipsis")
