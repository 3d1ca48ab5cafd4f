"""The port `CallbackStore` on PostgreSQL: callbacks, their secrets and their deliveries."""

from collections.abc import Sequence
from typing import Any

from gateway.callbacks.model import Callback, Delivery
from gateway.store.postgres.database import StorePart, arrays
from gateway.store.reads import CallbackReads
from gateway.store.rows import callback_row, delivery_row
from gateway.store.writes import CallbackWrites


class PostgresCallbacks(StorePart, CallbackReads, CallbackWrites):
    """The methods are described in `gateway/callbacks/ports.py`."""

    async def add_callback(self, callback: Callback) -> bool:
        row = await self._write("callback", "insert_callback", callback_row(callback) | _secrets(callback))
        return bool(row["written"])

    async def change_callback(self, callback: Callback, due: float | None = None) -> None:
        row = callback_row(callback) | _secrets(callback) | {"due": due}
        await self._write("callback changed", "update_callback", row)

    async def delete_callback(self, callback_id: str) -> None:
        await self._write("callback changed", "delete_callback", {"callback_id": callback_id})

    async def take_deliveries(self, callback: Callback, taken: Sequence[Delivery]) -> None:
        rows = arrays([delivery_row(delivery) for delivery in taken]) or {name: [] for name in DELIVERY_COLUMNS}
        about = {"callback_id": callback.id, "position": callback.position}
        await self._write("deliveries taken", "take_deliveries", rows | about)

    async def delivery_attempted(
        self, delivery: Delivery, callback: Callback, before: Callback, due: float | None
    ) -> None:
        health = callback_row(callback)
        health["callback_problem"] = health.pop("problem")
        row = health | delivery_row(delivery) | {"due": due, "callback_changed": callback != before}
        await self._write("delivery attempted", "attempt_delivery", row)


DELIVERY_COLUMNS = (
    "generation_id", "revision", "create_time", "next_at", "state", "attempts", "refusals", "problem", "http_status",
    "last_attempt_time",
)  # fmt: skip


def _secrets(callback: Callback) -> dict[str, Any]:
    return {
        "numbers": list(range(len(callback.secrets))),
        "secrets": [secret.text for secret in callback.secrets],
        "untils": [secret.until for secret in callback.secrets],
    }
