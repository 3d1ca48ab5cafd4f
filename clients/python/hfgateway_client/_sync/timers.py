# Generated from _async by tools/unasync.py. DO NOT EDIT!
"""The clock, the sleep and the random numbers of a client, which tests can replace."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timers:
    """A monotonic clock and a sleep, both in seconds, and a source of random numbers from 0 to 1."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random
