"""Callbacks and their deliveries in the store of the generations: written by its one writer, read by its reader."""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gateway.callbacks.model import Callback, Delivery, DeliveryState, Problem, Secret
from gateway.generations.model import State
from gateway.generations.ports import Filter
from gateway.store.codec import Row
from gateway.store.writer import Effect, Writer


class SqliteCallbacks:
    """The `CallbackStore` on SQLite. `read` answers a named statement; raises StoreError."""

    def __init__(self, writer: Writer, sql: Mapping[str, str], read: Callable[..., Sequence[sqlite3.Row]]) -> None:
        self._writer = writer
        self._sql = sql
        self._read = read

    async def add_callback(self, callback: Callback) -> bool:
        """Keep a new one, unless its key is known."""
        c = callback
        row = (
            c.id, c.tenant, c.url, _wanted_out(c.wanted), int(c.every_change), c.idempotency_key, c.fingerprint,
            c.create_time, c.position, *_health(c),
        )  # fmt: skip

        def write(connection: sqlite3.Connection) -> Effect:
            if connection.execute(self._sql["insert_callback"], row).rowcount == 0:
                return False, None
            self._put_secrets(connection, callback)
            return True, None

        return bool(await self._writer.write("callback", write))

    async def change_callback(self, callback: Callback, due: float | None = None) -> None:
        """Store it as it is, with its secrets in place of those before."""

        def write(connection: sqlite3.Connection) -> Effect:
            self._update(connection, callback)
            connection.execute(self._sql["delete_callback_secrets"], (callback.id,))
            self._put_secrets(connection, callback)
            if due is not None:
                connection.execute(self._sql["hurry_callback_deliveries"], (callback.id, due))
            return None, None

        await self._writer.write("callback changed", write)

    async def delete_callback(self, callback_id: str) -> None:
        """Erase it with all that is its."""

        def write(connection: sqlite3.Connection) -> Effect:
            for name in ("delete_callback", "delete_callback_secrets", "delete_callback_deliveries"):
                connection.execute(self._sql[name], (callback_id,))
            return None, None

        await self._writer.write("callback changed", write)

    async def callbacks(self) -> Sequence[Callback]:
        """All, oldest first."""
        secrets: dict[str, list[Secret]] = {}
        for callback_id, text, until in self._read("read_callback_secrets"):
            secrets.setdefault(callback_id, []).append(Secret(text, until))
        found = [_callback_of(row) for row in self._read("read_callbacks")]
        return [replace(callback, secrets=tuple(secrets.get(callback.id, ()))) for callback in found]

    async def take_deliveries(self, callback: Callback, taken: Sequence[Delivery], settled_before: float) -> None:
        """New deliveries and the position that they lead to."""
        rows = [(d.callback_id, d.generation_id, d.revision, d.create_time, d.next_at) for d in taken]

        def write(connection: sqlite3.Connection) -> Effect:
            connection.executemany(self._sql["insert_callback_delivery"], rows)
            connection.execute(self._sql["update_callback_position"], (callback.position, callback.id))
            connection.execute(self._sql["prune_callback_deliveries"], (callback.id, settled_before))
            return None, None

        await self._writer.write("deliveries taken", write)

    async def delivery_attempted(
        self, delivery: Delivery, callback: Callback, before: Callback, due: float | None
    ) -> None:
        """What an attempt came to, for both."""

        def write(connection: sqlite3.Connection) -> Effect:
            self._put(connection, delivery)
            if callback != before:
                self._update(connection, callback)
            if due is not None:
                connection.execute(self._sql["hurry_failed_callback_deliveries"], (callback.id, due))
            return None, None

        await self._writer.write("delivery attempted", write)

    async def redeliver(self, delivery: Delivery) -> None:
        """It waits again."""

        def write(connection: sqlite3.Connection) -> Effect:
            self._put(connection, delivery)
            return None, None

        await self._writer.write("redelivery", write)

    async def drop_delivery(self, delivery: Delivery) -> None:
        """Erase it."""

        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["delete_callback_delivery"], _name(delivery))
            return None, None

        await self._writer.write("delivery dropped", write)

    async def pending_deliveries(self, callback_id: str) -> Sequence[Delivery]:
        """Those that wait."""
        return [_delivery_of(row) for row in self._read("read_waiting_callback_deliveries", callback_id)]

    async def delivery(self, callback_id: str, generation_id: str, revision: int) -> Delivery | None:
        """One of a callback."""
        rows = self._read("read_callback_delivery", callback_id, generation_id, revision)
        return _delivery_of(rows[0]) if rows else None

    async def deliveries(
        self, callback_id: str, generation_id: str, *, failed_only: bool, before: tuple[float, str, int], limit: int
    ) -> Sequence[Delivery]:
        """A page, newest first."""
        rows = self._read("read_callback_deliveries", callback_id, generation_id, failed_only, *before, limit)
        return [_delivery_of(row) for row in rows]

    def _update(self, connection: sqlite3.Connection, callback: Callback) -> None:
        changing = (_wanted_out(callback.wanted), int(callback.every_change), callback.position, *_health(callback))
        connection.execute(self._sql["update_callback"], (*changing, callback.id))

    def _put_secrets(self, connection: sqlite3.Connection, callback: Callback) -> None:
        rows = [(callback.id, number, one.text, one.until) for number, one in enumerate(callback.secrets)]
        connection.executemany(self._sql["insert_callback_secret"], rows)

    def _put(self, connection: sqlite3.Connection, delivery: Delivery) -> None:
        d = delivery
        row = (
            d.next_at,
            d.state.value,
            d.attempts,
            d.refusals,
            d.problem and d.problem.value,
            d.http_status,
            d.last_attempt_time,
        )
        connection.execute(self._sql["update_callback_delivery"], (*row, *_name(d)))


def _name(delivery: Delivery) -> tuple[str, str, int]:
    return delivery.callback_id, delivery.generation_id, delivery.revision


def _health(callback: Callback) -> tuple[Any, ...]:
    c = callback
    problem = None if c.problem is None else c.problem.value
    return (
        int(c.paused), problem, c.problem_status, c.problem_time, c.failing_since, c.failed_at, c.streak, c.held_until,
    )  # fmt: skip


def _wanted_out(wanted: Filter) -> str:
    content = {
        "labels": dict(wanted.labels),
        "models": sorted(wanted.model_ids),
        "states": sorted(state.value for state in wanted.states),
    }
    return json.dumps(content, ensure_ascii=False)


def _wanted_in(text: str) -> Filter:
    content = json.loads(text)
    return Filter(
        states=frozenset(State(number) for number in content["states"]),
        model_ids=frozenset(content["models"]),
        labels=content["labels"],
    )


def _callback_of(row: Row) -> Callback:
    return Callback(
        id=row["id"],
        tenant=row["tenant"],
        url=row["url"],
        wanted=_wanted_in(row["wanted"]),
        every_change=bool(row["every_change"]),
        idempotency_key=row["idempotency_key"],
        fingerprint=bytes(row["fingerprint"]),
        create_time=row["create_time"],
        position=row["position"],
        paused=bool(row["paused"]),
        problem=None if row["problem"] is None else Problem(row["problem"]),
        problem_status=row["problem_status"],
        problem_time=row["problem_time"],
        failing_since=row["failing_since"],
        failed_at=row["failed_at"],
        streak=row["streak"],
        held_until=row["held_until"],
    )


def _delivery_of(row: Row) -> Delivery:
    return Delivery(
        callback_id=row["callback_id"],
        generation_id=row["generation_id"],
        revision=row["revision"],
        create_time=row["create_time"],
        next_at=row["next_at"],
        state=DeliveryState(row["fate"]),
        attempts=row["attempts"],
        refusals=row["refusals"],
        problem=None if row["problem"] is None else Problem(row["problem"]),
        http_status=row["http_status"],
        last_attempt_time=row["last_attempt_time"],
    )
