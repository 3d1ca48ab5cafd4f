"""What callbacks need from outside: where they are kept, what a delivery says, and who carries it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.callbacks.model import Callback, Delivery, Outcome
from gateway.generations.model import Generation


class CallbackStore(Protocol):
    """Durable callbacks and deliveries. What returns has been committed. Raises StoreError."""

    async def add_callback(self, callback: Callback) -> bool:
        """Keep a new one with its secret; False where the tenant's idempotency key stands for another one."""

    async def change_callback(self, callback: Callback, due: float | None = None) -> None:
        """Store it as it is now: what may be changed of it, its position, its health and its secrets.

        With `due` all that waits for it is due at that steady time at the latest.
        """

    async def delete_callback(self, callback_id: str) -> None:
        """Erase it with its secrets and deliveries."""

    async def callbacks(self) -> Sequence[Callback]:
        """All, oldest first."""

    async def take_deliveries(self, callback: Callback, taken: Sequence[Delivery], settled_before: float) -> None:
        """Keep new deliveries and the callback's position in one commit; those that are known stay as they are.

        Forgets what was taken or given up before that wall time.
        """

    async def delivery_attempted(
        self, delivery: Delivery, callback: Callback, before: Callback, due: float | None
    ) -> None:
        """Store what an attempt made of a delivery, and of the callback's health where that is not as before.

        With `due` what failed because the receiver was away is due at that steady time at the latest.
        """

    async def redeliver(self, delivery: Delivery) -> None:
        """Store it as one that waits again."""

    async def drop_delivery(self, delivery: Delivery) -> None:
        """Erase it: there is nothing to deliver any more."""

    async def pending_deliveries(self, callback_id: str) -> Sequence[Delivery]:
        """Those that wait, in the order of their revisions."""

    async def delivery(self, callback_id: str, generation_id: str, revision: int) -> Delivery | None:
        """One of a callback."""

    async def deliveries(
        self, callback_id: str, generation_id: str, *, failed_only: bool, before: tuple[float, str, int], limit: int
    ) -> Sequence[Delivery]:
        """Newest first, at most `limit`, all older than the place `before`: its time, generation and revision."""


class Receivers(Protocol):
    """The world outside."""

    def refusal(self, url: str) -> str:
        """Why the URL can be no callback's; empty where it can."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """POST it once. Never raises for what the other side does."""


class Bodies(Protocol):
    """What deliveries say."""

    def of(self, generation: Generation) -> bytes:
        """The body for a generation at one revision."""

    def of_test(self, wall: float) -> bytes:
        """The body of a test."""
