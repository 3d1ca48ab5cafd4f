"""Shows how a generation gets on: moving on a terminal, a line for each change elsewhere, or JSON for programs.

All of it but JSON goes to standard error: standard output is for results, so that `$(hfgateway generate ...)` works.
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
    """The function to call with a generation whenever it has changed."""
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
    # Drawn again and again by a thread of rich's, so that the time passes on the screen.
    with Live(console=console, get_renderable=picture.draw, refresh_per_second=8, transient=False):
        yield picture.show


def print_json(message: Message) -> None:
    """One line of proto3 JSON on standard output."""
    from google.protobuf.json_format import MessageToJson

    echo(MessageToJson(message, indent=None))


class Lines:
    """A line for each change, and one for each output as it comes."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._shown: set[str] = set()

    def show(self, generation: Generation) -> None:
        """Say what is new."""
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
    """State, time and outputs, drawn in place."""

    def __init__(self) -> None:
        from rich.spinner import Spinner

        self._began = time.monotonic()
        self._spinner = Spinner("dots")
        self._generation: Generation | None = None

    def show(self, generation: Generation) -> None:
        """Draw this from now on."""
        self._generation = generation

    def draw(self) -> RenderableType:
        """The picture of now."""
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
