"""The ports of callbacks: their store, the receivers, and the bodies of deliveries."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from gateway.callbacks.model import Callback, Delivery, Outcome
from gateway.generations.model import Generation


class CallbackStore(Protocol):
    """Stores callbacks and deliveries. Each method returns after its commit, or raises UnconfirmedError."""

    async def add_callback(self, callback: Callback) -> bool:
        """Store a new callback with its secret; False if the tenant has one with its idempotency key."""

    async def change_callback(self, callback: Callback, due: float | None = None) -> None:
        """Store what can change in a callback, except its position: its filter, health and secrets.

        With `due`, a steady time, its pending deliveries become due at that time at the latest.
        """

    async def delete_callback(self, callback_id: str) -> None:
        """Delete a callback with its secrets and pending deliveries. Retention deletes the others."""

    async def callbacks(self) -> Sequence[Callback]:
        """Return all callbacks, oldest first."""

    async def take_deliveries(self, callback: Callback, taken: Sequence[Delivery]) -> None:
        """Store new deliveries and the position of the callback in one transaction. Known deliveries do not change.

        A stored position never goes back: an earlier call may have failed for its caller and have stored a later one,
        with deliveries that succeed before the changes are read again.
        """

    async def prune_deliveries(self, settled_before: float) -> None:
        """Delete the deliveries of all callbacks that succeeded or failed before a wall time."""

    async def delivery_attempted(
        self, delivery: Delivery, callback: Callback, before: Callback, due: float | None
    ) -> None:
        """Store a delivery after an attempt, and the health of its callback if it differs from `before`.

        With `due`, a steady time, deliveries that failed because of an outage become due at that time at the latest.
        """

    async def redeliver(self, delivery: Delivery) -> None:
        """Store a delivery as pending again."""

    async def drop_delivery(self, delivery: Delivery) -> None:
        """Delete a delivery whose generation no longer exists."""

    async def pending_deliveries(self, callback_id: str) -> Sequence[Delivery]:
        """Return the pending deliveries, those of one generation in the order of their revisions."""

    async def delivery(self, callback_id: str, generation_id: str, revision: int) -> Delivery | None:
        """Return a delivery; None if there is none."""

    async def deliveries(
        self, callback_id: str, generation_id: str, *, failed_only: bool, before: tuple[float, str, int], limit: int
    ) -> Sequence[Delivery]:
        """Return at most `limit` deliveries, newest first.

        All are older than `before`: a creation time, generation id and revision. `generation_id` "" selects all.
        """


class Receivers(Protocol):
    """Sends deliveries to the servers of callers."""

    def refusal(self, url: str) -> str:
        """Return why a URL cannot be used for a callback; "" if it can."""

    async def post(
        self, tenant: str, url: str, headers: Mapping[str, str], body: bytes, may_send: Callable[[], bool]
    ) -> Outcome:
        """Send one POST for a tenant. Failures are returned as outcomes, not raised.

        `may_send` is called right before the first byte. If it returns False, nothing is sent. Raises NotSentError.
        """


class Bodies(Protocol):
    """Encodes the bodies of deliveries."""

    def of(self, generation: Generation) -> bytes:
        """Return the body for one version of a generation."""

    def of_test(self, wall: float) -> bytes:
        """Return the body of a test delivery that is made at a wall time."""
