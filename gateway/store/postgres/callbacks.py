"""The port `CallbackStore` on PostgreSQL: callbacks, their secrets and their deliveries."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gateway.callbacks.model import Callback, Delivery, Secret
from gateway.store.postgres.database import StorePart, arrays
from gateway.store.rows import callback_of, callback_row, delivery_of, delivery_row


class PostgresCallbacks(StorePart):
    """The methods are described in `gateway/callbacks/ports.py`."""

    async def add_callback(self, callback: Callback) -> bool:
        row = await self._write("callback", "insert_callback", _row(callback) | _secrets(callback))
        return bool(row["written"])

    async def change_callback(self, callback: Callback, due: float | None = None) -> None:
        row = _row(callback) | _secrets(callback) | {"due": due}
        await self._write("callback changed", "update_callback", row)

    async def delete_callback(self, callback_id: str) -> None:
        await self._write("callback changed", "delete_callback", {"callback_id": callback_id})

    async def callbacks(self) -> Sequence[Callback]:
        secrets: dict[str, list[Secret]] = {}
        for row in await self._rows("read_callback_secrets"):
            secrets.setdefault(row["callback_id"], []).append(Secret(row["secret"], row["until"]))
        found = [callback_of(row) for row in await self._rows("read_callbacks")]
        return [replace(callback, secrets=tuple(secrets.get(callback.id, ()))) for callback in found]

    async def take_deliveries(self, callback: Callback, taken: Sequence[Delivery], settled_before: float) -> None:
        rows = arrays([delivery_row(delivery) for delivery in taken]) or {name: [] for name in DELIVERY_COLUMNS}
        about = {"callback_id": callback.id, "position": callback.position, "before": settled_before}
        await self._write("deliveries taken", "take_deliveries", rows | about)

    async def delivery_attempted(
        self, delivery: Delivery, callback: Callback, before: Callback, due: float | None
    ) -> None:
        health = _row(callback)
        health["callback_problem"] = health.pop("problem")
        row = health | delivery_row(delivery) | {"due": due, "callback_changed": callback != before}
        await self._write("delivery attempted", "attempt_delivery", row)

    async def redeliver(self, delivery: Delivery) -> None:
        await self._write("redelivery", "update_delivery", delivery_row(delivery))

    async def drop_delivery(self, delivery: Delivery) -> None:
        await self._write("delivery dropped", "delete_delivery", delivery_row(delivery))

    async def pending_deliveries(self, callback_id: str) -> Sequence[Delivery]:
        return [delivery_of(row) for row in await self._rows("read_pending_deliveries", callback_id=callback_id)]

    async def delivery(self, callback_id: str, generation_id: str, revision: int) -> Delivery | None:
        row = await self._one("read_delivery", callback_id=callback_id, generation_id=generation_id, revision=revision)
        return None if row is None else delivery_of(row)

    async def deliveries(
        self, callback_id: str, generation_id: str, *, failed_only: bool, before: tuple[float, str, int], limit: int
    ) -> Sequence[Delivery]:
        time, generation, revision = before
        rows = await self._rows(
            "read_deliveries",
            callback_id=callback_id,
            generation_id=generation_id,
            failed_only=failed_only,
            before_time=time,
            before_generation=generation,
            before_revision=revision,
            limit=limit,
        )
        return [delivery_of(row) for row in rows]


DELIVERY_COLUMNS = (
    "generation_id", "revision", "create_time", "next_at", "state", "attempts", "refusals", "problem", "http_status",
    "last_attempt_time",
)  # fmt: skip


def _row(callback: Callback) -> dict[str, Any]:
    row = callback_row(callback)
    return row | {name: bool(row[name]) for name in ("every_change", "paused")}


def _secrets(callback: Callback) -> dict[str, Any]:
    return {
        "numbers": list(range(len(callback.secrets))),
        "secrets": [secret.text for secret in callback.secrets],
        "untils": [secret.until for secret in callback.secrets],
    }
