"""The port `WebhookStore` on PostgreSQL."""

import secrets

from gateway.generations.model import Wall
from gateway.generations.stores import MAX_WEBHOOKS, UnknownCommitError, Webhook, WebhookReceipt
from gateway.store.postgres.database import StorePart
from gateway.store.reads import WebhookReads


class PostgresWebhooks(StorePart, WebhookReads):
    """The methods are described in `gateway/generations/stores.py`."""

    async def store_webhook(self, webhook: Webhook, wall: Wall) -> WebhookReceipt:
        name = {"generation_id": webhook.generation_id, "name": webhook.name}
        content = {"request_id": webhook.request_id, "status": webhook.status, "time": wall, "most": MAX_WEBHOOKS}
        known = WebhookReceipt.KNOWN
        try:
            row = await self._write("delivery", "insert_webhook", name | content, repeat=False)
        except UnknownCommitError:
            # If the first attempt stored it, it has not been processed, so it counts as new.
            row = await self._write("delivery", "insert_webhook", name | content, repeat=False)
            known = WebhookReceipt.KEPT
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
