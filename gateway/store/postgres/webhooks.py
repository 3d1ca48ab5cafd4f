"""The port `WebhookStore` on PostgreSQL."""

import secrets

from gateway.generations.model import Wall
from gateway.generations.read_back import confirmed
from gateway.generations.stores import MAX_WEBHOOKS, Webhook, WebhookReceipt
from gateway.store.postgres.database import StorePart
from gateway.store.reads import WebhookReads


class PostgresWebhooks(StorePart, WebhookReads):
    """The methods are described in `gateway/generations/stores.py`."""

    async def store_webhook(self, webhook: Webhook, wall: Wall) -> WebhookReceipt:
        # If the first attempt stored it, it has not been processed, so it counts as new.
        return await confirmed(
            self._store(webhook, wall, WebhookReceipt.KNOWN), lambda: self._store(webhook, wall, WebhookReceipt.KEPT)
        )

    async def _store(self, webhook: Webhook, wall: Wall, known: WebhookReceipt) -> WebhookReceipt:
        """Store a webhook, and return `known` if it is stored already."""
        name = {"generation_id": webhook.generation_id, "name": webhook.name}
        content = {"request_id": webhook.request_id, "status": webhook.status, "time": wall, "most": MAX_WEBHOOKS}
        row = await self._write("delivery", "insert_webhook", name | content, repeat=False)
        if not row["written"] and not row["known"]:
            # A statement does not see a row that another one was storing: Higgsfield sends duplicates at the same time.
            row = await self._write("delivery", "insert_webhook", name | content, repeat=False)
        if row["written"]:
            return WebhookReceipt.KEPT
        return known if row["known"] else WebhookReceipt.TOO_MANY

    async def finish_webhook(self, webhook: Webhook, *, again: bool = False) -> None:
        name = {"generation_id": webhook.generation_id, "name": webhook.name}
        suffix = f" {secrets.token_hex(8)}" if again else ""
        await self._write("webhook processed", "finish_webhook", name | {"suffix": suffix})
