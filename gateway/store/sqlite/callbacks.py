"""The port `CallbackStore` on SQLite: callbacks, their secrets and their deliveries."""

import sqlite3
from collections.abc import Iterator, Sequence

from gateway.callbacks.model import Callback, Delivery
from gateway.store.reads import CallbackReads
from gateway.store.rows import callback_row, delivery_row
from gateway.store.sqlite.database import StorePart, Values
from gateway.store.sqlite.writer import Effect
from gateway.store.writes import CallbackWrites


class SqliteCallbacks(StorePart, CallbackReads, CallbackWrites):
    """The methods are described in `gateway/callbacks/ports.py`."""

    async def add_callback(self, callback: Callback) -> bool:
        def write(connection: sqlite3.Connection) -> Effect:
            if connection.execute(self._sql["insert_callback"], callback_row(callback)).rowcount == 0:
                return False, None
            for name, row in _secrets(callback):
                connection.execute(self._sql[name], row)
            return True, None

        return bool(await self._writer.write("callback", write))

    async def change_callback(self, callback: Callback, due: float | None = None) -> None:
        of = {"callback_id": callback.id}
        await self._write(
            "callback changed",
            ("update_callback", callback_row(callback)),
            ("delete_callback_secrets", of),
            *_secrets(callback),
            *([] if due is None else [("advance_callback_deliveries", of | {"due": due})]),
        )

    async def delete_callback(self, callback_id: str) -> None:
        names = ("delete_callback", "delete_callback_secrets", "delete_pending_callback_deliveries")
        await self._write("callback changed", *((name, {"callback_id": callback_id}) for name in names))

    async def take_deliveries(self, callback: Callback, taken: Sequence[Delivery]) -> None:
        await self._write(
            "deliveries taken",
            ("update_callback_position", {"id": callback.id, "position": callback.position}),
            *(("insert_callback_delivery", delivery_row(delivery)) for delivery in taken),
        )

    async def delivery_attempted(
        self, delivery: Delivery, callback: Callback, before: Callback, due: float | None
    ) -> None:
        statements: list[tuple[str, Values]] = [("update_callback_delivery", delivery_row(delivery))]
        if callback != before:
            statements.append(("update_callback", callback_row(callback)))
        if due is not None:
            statements.append(("advance_failed_callback_deliveries", {"callback_id": callback.id, "due": due}))
        await self._write("delivery attempted", *statements)


def _secrets(callback: Callback) -> Iterator[tuple[str, Values]]:
    for number, secret in enumerate(callback.secrets):
        row = {"callback_id": callback.id, "number": number, "secret": secret.text, "until": secret.until}
        yield "insert_callback_secret", row
