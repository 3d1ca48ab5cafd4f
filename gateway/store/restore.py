"""What both engines do when a store is declared restored."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from gateway.generations.clock import SystemClock
from gateway.generations.model import Generation
from gateway.generations.state import Restored, advance, step
from gateway.store.store import Store

SAVE_BATCH_SIZE = 1_000
"""Generations that are saved together, because they share commits. One after the other, 100,000 would take minutes."""


class Declared(NamedTuple):
    """The result of declaring a store restored.

    `held` has the generations whose submissions are held from now on, as they were before; also those that an earlier
    declaration held. `newest` is the wall time of the last change before the declaration; None if there is none.
    """

    held: Sequence[Generation]
    newest: float | None


async def hold_submissions(store: Store) -> Sequence[Generation]:
    """Hold the submissions that were not accepted, and return all held generations, as they were before.

    All generations that have not ended get a revision that was not used before the restore.
    """
    moment = SystemClock(await store.times.newest_steady()).moment()
    unfinished = await store.generations.unfinished()
    changed = [(before, after) for before in unfinished if (after := advance(before, Restored(), moment)) is not None]
    for first in range(0, len(changed), SAVE_BATCH_SIZE):
        some = changed[first : first + SAVE_BATCH_SIZE]
        await asyncio.gather(*(store.generations.save(before, after, step(Restored())) for before, after in some))
    return [before for before, after in changed if after.held]
