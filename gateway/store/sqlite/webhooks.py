"""The port `WebhookStore` on SQLite."""

import sqlite3

from gateway.generations.model import Wall
from gateway.generations.stores import MAX_WEBHOOKS, Webhook, WebhookReceipt
from gateway.store.reads import WebhookReads
from gateway.store.sqlite.database import StorePart
from gateway.store.sqlite.writer import Effect


class SqliteWebhooks(StorePart, WebhookReads):
    """The methods are described in `gateway/generations/stores.py`."""

    async def store_webhook(self, webhook: Webhook, wall: Wall) -> WebhookReceipt:
        name = {"generation_id": webhook.generation_id, "name": webhook.name}
        content = {"request_id": webhook.request_id, "status": webhook.status, "time": wall}

        def write(connection: sqlite3.Connection) -> Effect:
            row = name | content | {"most": MAX_WEBHOOKS}
            if connection.execute(self._sql["insert_webhook"], row).rowcount == 1:
                return WebhookReceipt.KEPT, None
            known = connection.execute(self._sql["has_webhook"], name).fetchone()
            return WebhookReceipt.TOO_MANY if known is None else WebhookReceipt.KNOWN, None

        result: WebhookReceipt = await self._writer.write("delivery", write, brief=True)
        return result

    async def finish_webhook(self, webhook: Webhook, *, again: bool = False) -> None:
        statement = "mark_webhook_repeatable" if again else "mark_webhook_processed"
        name = {"generation_id": webhook.generation_id, "name": webhook.name}
        await self._write("webhook processed", (statement, name), brief=True)
