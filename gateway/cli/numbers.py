"""The numbers that options take: those that a call or a clock can represent."""

from __future__ import annotations

import math
import sys
from typing import Any

import click


class Whole(click.IntRange):
    """A whole number of at most 64 bits."""

    name = "integer"  # for errors and the help

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number. Raises click.BadParameter if it has more than 64 bits."""
        number: int = super().convert(value, param, ctx)
        if number > sys.maxsize:
            self.fail(f"{number} is too large.", param, ctx)
        return number


class Seconds(click.FloatRange):
    """Seconds, which may be infinite. `nan` is in every range of click's."""

    name = "number"

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds. Raises click.BadParameter for nan."""
        seconds: float = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a valid number.", param, ctx)
        return seconds
