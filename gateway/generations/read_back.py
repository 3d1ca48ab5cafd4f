"""Finds out whether a write was stored whose commit has an unknown outcome.

The write is repeated. A read alone proves nothing, because the first commit may still be under way. The repeat is
conditional on the same key or version, so only one of the two is stored, whichever comes first: if the repeat is
stored, the first one never will be. If it is refused, the stored row shows which write came first. It is repeated
once. If the repeat is not confirmed either, the outcome remains unknown.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.generations.limits.model import LimitExceededError, UnpricedError
from gateway.generations.model import Generation
from gateway.generations.stores import Claim, Claimed, ClaimStore, GenerationStore, UnconfirmedError, UnknownCommitError

T = TypeVar("T")


async def confirmed(write: Awaitable[T], read_back: Callable[[], Awaitable[T]]) -> T:
    """Await a write, and `read_back` if its outcome is unknown. Raises UnknownCommitError if that fails, too.

    A StoreError of `read_back` says nothing about the first write.
    """
    try:
        return await write
    except UnknownCommitError as unknown:
        try:
            return await read_back()
        except UnconfirmedError:
            raise unknown from None


async def repeated_if_unknown(write: Callable[[], Awaitable[T]]) -> T:
    """Await a write that may be stored twice, and once more if its outcome is unknown."""
    return await confirmed(write(), write)


async def claim(claims: ClaimStore, wanted: Claim) -> Claimed:
    """Store a claim; see `ClaimStore.claim`."""

    async def again() -> Claimed:
        try:
            return await claims.claim(wanted)
        except (LimitExceededError, UnpricedError) as refused:
            # The first commit may still come, so the refusal must not be shown.
            raise UnconfirmedError from refused

    return await confirmed(claims.claim(wanted), again)


async def save(generations: GenerationStore, before: Generation, after: Generation, step: str) -> bool:
    """Replace a version of a generation; see `GenerationStore.save`.

    False also if another write has followed, because the row then no longer shows which write stored `after`.
    """

    async def again() -> bool:
        return await generations.save(before, after, step) or await generations.any(after.id) == after

    return await confirmed(generations.save(before, after, step), again)
