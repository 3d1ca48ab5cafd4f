"""Requests with aiohttp whose responses are read to their ends."""

from contextlib import AbstractAsyncContextManager

import aiohttp


async def whole(request: AbstractAsyncContextManager[aiohttp.ClientResponse]) -> aiohttp.ClientResponse:
    """Make a request, read the body of the response, and give its connection back.

    A response that is not read keeps its connection. If both are collected in a later test, aiohttp warns there, and
    that test fails.
    """
    async with request as response:
        await response.read()
        return response
