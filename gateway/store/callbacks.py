"""The port `CallbackStore` on SQLite: callbacks, their secrets and their deliveries."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace

from gateway.callbacks.model import Callback, Delivery, Secret
from gateway.store.database import StorePart
from gateway.store.rows import callback_of, callback_row, delivery_of, delivery_row
from gateway.store.writer import Effect


class SqliteCallbacks(StorePart):
    """The methods are described in `gateway/callbacks/ports.py`."""

    async def add_callback(self, callback: Callback) -> bool:
        def write(connection: sqlite3.Connection) -> Effect:
            if connection.execute(self._sql["insert_callback"], callback_row(callback)).rowcount == 0:
                return False, None
            self._insert_secrets(connection, callback)
            return True, None

        return bool(await self._writer.write("callback", write))

    async def change_callback(self, callback: Callback, due: float | None = None) -> None:
        of = {"callback_id": callback.id}

        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["update_callback"], callback_row(callback))
            connection.execute(self._sql["delete_callback_secrets"], of)
            self._insert_secrets(connection, callback)
            if due is not None:
                connection.execute(self._sql["advance_callback_deliveries"], of | {"due": due})
            return None, None

        await self._writer.write("callback changed", write)

    async def delete_callback(self, callback_id: str) -> None:
        def write(connection: sqlite3.Connection) -> Effect:
            for name in ("delete_callback", "delete_callback_secrets", "delete_callback_deliveries"):
                connection.execute(self._sql[name], {"callback_id": callback_id})
            return None, None

        await self._writer.write("callback changed", write)

    async def callbacks(self) -> Sequence[Callback]:
        secrets: dict[str, list[Secret]] = {}
        for row in self._rows("read_callback_secrets"):
            secrets.setdefault(row["callback_id"], []).append(Secret(row["secret"], row["until"]))
        found = [callback_of(row) for row in self._rows("read_callbacks")]
        return [replace(callback, secrets=tuple(secrets.get(callback.id, ()))) for callback in found]

    async def take_deliveries(self, callback: Callback, taken: Sequence[Delivery], settled_before: float) -> None:
        rows = [delivery_row(delivery) for delivery in taken]
        position = {"id": callback.id, "position": callback.position}
        settled = {"callback_id": callback.id, "before": settled_before}

        def write(connection: sqlite3.Connection) -> Effect:
            connection.executemany(self._sql["insert_callback_delivery"], rows)
            connection.execute(self._sql["update_callback_position"], position)
            connection.execute(self._sql["prune_callback_deliveries"], settled)
            return None, None

        await self._writer.write("deliveries taken", write)

    async def delivery_attempted(
        self, delivery: Delivery, callback: Callback, before: Callback, due: float | None
    ) -> None:
        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["update_callback_delivery"], delivery_row(delivery))
            if callback != before:
                connection.execute(self._sql["update_callback"], callback_row(callback))
            if due is not None:
                late = {"callback_id": callback.id, "due": due}
                connection.execute(self._sql["advance_failed_callback_deliveries"], late)
            return None, None

        await self._writer.write("delivery attempted", write)

    async def redeliver(self, delivery: Delivery) -> None:
        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["update_callback_delivery"], delivery_row(delivery))
            return None, None

        await self._writer.write("redelivery", write)

    async def drop_delivery(self, delivery: Delivery) -> None:
        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["delete_callback_delivery"], delivery_row(delivery))
            return None, None

        await self._writer.write("delivery dropped", write)

    async def pending_deliveries(self, callback_id: str) -> Sequence[Delivery]:
        rows = self._rows("read_pending_callback_deliveries", callback_id=callback_id)
        return [delivery_of(row) for row in rows]

    async def delivery(self, callback_id: str, generation_id: str, revision: int) -> Delivery | None:
        rows = self._rows(
            "read_callback_delivery", callback_id=callback_id, generation_id=generation_id, revision=revision
        )
        return delivery_of(rows[0]) if rows else None

    async def deliveries(
        self, callback_id: str, generation_id: str, *, failed_only: bool, before: tuple[float, str, int], limit: int
    ) -> Sequence[Delivery]:
        time, generation, revision = before
        rows = self._rows(
            "read_callback_deliveries",
            callback_id=callback_id,
            generation_id=generation_id,
            failed_only=failed_only,
            before_time=time,
            before_generation=generation,
            before_revision=revision,
            limit=limit,
        )
        return [delivery_of(row) for row in rows]

    def _insert_secrets(self, connection: sqlite3.Connection, callback: Callback) -> None:
        rows = [
            {"callback_id": callback.id, "number": number, "secret": secret.text, "until": secret.until}
            for number, secret in enumerate(callback.secrets)
        ]
        connection.executemany(self._sql["insert_callback_secret"], rows)
