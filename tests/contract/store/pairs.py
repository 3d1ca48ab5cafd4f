"""Two stores, one of each engine, to which the same happens."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar

from gateway.generations.model import Generation, GenerationId, Moment
from gateway.store.store import Store
from tests.contract.store import examples

REFUSED = "refused"
TENANTS, ACCOUNTS = ("one", "two"), ("account 1", "account 2")


class Pair:
    """Two stores. `pick` is the source of all chance, and `live` has the newest version of each generation."""

    refusals: ClassVar[tuple[type[Exception], ...]]
    """The errors by which a store refuses a call."""

    def __init__(self, stores: tuple[Store, Store], seed: int) -> None:
        self.stores = stores
        self.pick = random.Random(seed)
        self.live: dict[GenerationId, Generation] = {}
        self.now = 0.0
        self.refused = 0

    async def both(self, call: Callable[[Store], Awaitable[Any]]) -> Any:
        """Make a call to both stores, and return its result, which must be the same."""
        first, second = [await self._result(call(store)) for store in self.stores]
        assert first == second
        self.refused += first == REFUSED
        return first

    async def both_list(self, call: Callable[[Store], Awaitable[Sequence[Any]]]) -> Sequence[Any]:
        """Do the same for a call whose result is a list in any order."""

        async def ordered(store: Store) -> Sequence[Any]:
            return sorted(await call(store), key=repr)

        return await self.both(ordered)

    async def run(self, operations: Mapping[Callable[[], Awaitable[None]], float], number: int) -> None:
        """Run a number of operations by chance, some more often than others."""
        for _ in range(number):
            self.now += self.pick.choice([0.1, 1.0, 30.0])
            chosen = operations if self.live else {self.submit: 1}
            (operation,) = self.pick.choices([*chosen], [*chosen.values()])
            await operation()

    @abstractmethod
    async def submit(self) -> None:
        """Store a new generation."""

    def moment(self, ago: float = 0.0) -> Moment:
        return examples.moment(self.now - ago)

    async def _result(self, call: Awaitable[Any]) -> Any:
        """Return the result of a call, or REFUSED: if there are two reasons, the engines may name either."""
        try:
            return await call
        except self.refusals:
            return REFUSED
