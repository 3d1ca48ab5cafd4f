"""Shows the progress of a generation: live on a terminal, otherwise a line for each change, or JSON for programs.

Except for JSON, progress goes to standard error. Standard output is for results, so that `$(hfgateway generate ...)`
works.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gateway.cli.output import echo, plain

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from rich.console import RenderableType

    from hfgateway_client import Generation

Show = Callable[["Generation"], None]


@contextmanager
def showing(*, as_json: bool) -> Iterator[Show]:
    """Yield a function to call with the generation after each change."""
    if as_json:
        yield print_json
        return
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines().show
        return
    from rich.live import Live

    picture = Picture()
    # A thread of rich's redraws it, so that the elapsed time is updated.
    with Live(console=console, get_renderable=picture.draw, refresh_per_second=8, transient=False):
        yield picture.show


def print_json(message: Message) -> None:
    """Print a message as one line of proto3 JSON to standard output."""
    from google.protobuf.json_format import MessageToJson

    echo(MessageToJson(message, indent=None))


class Lines:
    """Prints a line for each change, and one for each new output."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._shown: set[str] = set()

    def show(self, generation: Generation) -> None:
        from hfgateway_client import state_name

        line = f"{state_name(generation)}  {generation.id}"
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
    """Draws state, elapsed time and outputs in place."""

    def __init__(self) -> None:
        from rich.spinner import Spinner

        self._began = time.monotonic()
        self._spinner = Spinner("dots")
        self._generation: Generation | None = None

    def show(self, generation: Generation) -> None:
        self._generation = generation

    def draw(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        from hfgateway_client import state_name

        elapsed = f" {time.monotonic() - self._began:5.1f}s "
        generation = self._generation
        if generation is None:
            self._spinner.update(text=Text(f"{elapsed} submitting"))
            return self._spinner
        headline = Text(elapsed).append(state_name(generation), "bold").append(f"  {generation.id}", "dim")
        if generation.HasField("delay"):
            headline.append(f"  waits: {plain(generation.delay.message)}", "yellow")
        self._spinner.update(text=headline)
        if generation.done:
            return headline  # the outputs follow as the result, on standard output
        outputs = [
            Text(f"  {number}  ").append(plain(output.url), f"link {plain(output.url)}")
            for number, output in enumerate(generation.outputs, 1)
            if output.url
        ]
        return Group(self._spinner, *outputs)
