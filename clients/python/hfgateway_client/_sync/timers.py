# Generated from _async by tools/unasync.py. DO NOT EDIT!
"""Time and chance as values, so that a test has hours pass without waiting for them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timers:
    """A monotonic clock, a sleep, and a source of numbers from 0 to 1."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random
