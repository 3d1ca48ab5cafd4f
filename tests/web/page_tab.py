"""A browser tab with the live page, for tests: it keeps every complaint of the browser."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Response, expect

from tests.support.running import WAIT_TIMEOUT

WITHIN = WAIT_TIMEOUT * 1000
"""Limit of every wait in the browser, in milliseconds."""
expect.set_options(timeout=WITHIN)


class Tab:
    """An open page, and the warnings and errors of its console, its uncaught errors, and responses with 404."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.set_default_timeout(WITHIN)
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("response", self._on_response)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def _on_response(self, response: Response) -> None:
        if response.status == 404:
            self.complaints.append(f"404: {response.url}")

    def group(self, name: str) -> Locator:
        """Return the cards of a group."""
        return self.page.locator(f"#{name}-list article")

    def button(self, name: str) -> Locator:
        """Return the button whose accessible name begins with a text."""
        return self.page.get_by_role("button", name=re.compile(f"^{name}"))

    async def count(self, group: str, count: int) -> None:
        """Wait until a group has this many cards."""
        await expect(self.group(group)).to_have_count(count)

    async def live(self) -> None:
        await expect(self.page.locator("#line")).to_have_text("Live")

    async def notice(self, text: str) -> None:
        """Wait for a notice that contains a text."""
        await expect(self.page.locator("#notice")).to_contain_text(text)


@asynccontextmanager
async def browser_tab(browser: Browser, **context: Any) -> AsyncIterator[Tab]:
    """Open a tab in a new context; `context` are its options."""
    page = await browser.new_page(**({"viewport": {"width": 1280, "height": 860}} | context))
    try:
        yield Tab(page)
    finally:
        await page.close()
