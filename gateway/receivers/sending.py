"""One POST over aiohttp, to addresses that were checked before: the connection of a request is its own."""

import socket
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult

from gateway import failpoints
from gateway.receivers.post import Answer, UntrustedError


async def post(
    url: str,
    host: str,
    found: Sequence[str],
    *,
    headers: Mapping[str, str],
    body: bytes,
    tls: ssl.SSLContext | bool,
) -> Answer:
    """The head of the answer; the rest of it is not read. Raises OSError, and UntrustedError for TLS that fails.

    `host` is who was looked up, `found` its addresses. Who calls limits the time.
    """
    target = yarl.URL(url, encoded=True)
    if target.host is None or target.host.lower() != host.lower():
        raise OSError("the URL is read in two ways")
    connector = aiohttp.TCPConnector(resolver=_Checked(found), use_dns_cache=False, force_close=True, ssl=tls)
    try:
        async with (
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                skip_auto_headers=("Accept", "Accept-Encoding"),
                auto_decompress=False,
                trust_env=False,
                request_class=_Request,
            ) as session,
            session.post(
                target,
                data=body,
                headers={**headers, "Content-Type": "application/json", "User-Agent": "hfgateway"},
                allow_redirects=False,
            ) as response,
        ):
            failpoints.after("callback call")
            answer = Answer(response.status, response.headers.get("Retry-After"))
            response.close()
            return answer
    except aiohttp.ClientSSLError as error:
        raise UntrustedError(type(error).__name__) from error
    except aiohttp.ClientError as error:
        raise OSError(type(error).__name__) from error


class _Checked(AbstractResolver):
    """Knows the addresses that were checked, and asks nobody."""

    def __init__(self, found: Sequence[str]) -> None:
        self._found = found

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._found
        ]

    async def close(self) -> None:
        """Nothing is held."""


class _Request(aiohttp.ClientRequest):
    """Has a place to be killed at before its first byte, and one after its last."""

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        failpoints.before("callback call")
        return await super().send(conn)

    async def write_bytes(self, *arguments: Any) -> None:
        """The body, in a task of its own."""
        await super().write_bytes(*arguments)
        failpoints.amid("callback call")
