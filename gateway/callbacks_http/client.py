"""Makes one delivery attempt of a callback: one POST, with one time limit for everything.

Each attempt resolves the host again, checks all its addresses, and connects to one of the checked addresses: there is
no second lookup that could return another one (DNS rebinding). Redirects are not followed and response bodies are not
read. Connections, cookies and the proxy settings of the environment are not used.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakValueDictionary

from gateway import addresses
from gateway.addresses import Network
from gateway.callbacks.model import Outcome, Problem
from gateway.callbacks_http import urls
from gateway.callbacks_http.response import CertificateError, ResponseHead
from gateway.callbacks_http.urls import InvalidUrlError, Target
from gateway.headers import parse_retry_after

ATTEMPT_TIMEOUT = 15.0
"""Seconds for an attempt in total: lookup, connection, request, and the head of the response."""
MAX_CONCURRENT_LOOKUPS = 8
"""Concurrent lookups of one tenant. One that hangs counts until its thread ends, which may be after its attempt."""
LOOKUP_THREADS = 16 * MAX_CONCURRENT_LOOKUPS
"""Threads for lookups, which are started when they are needed."""
Lookup = Callable[[str], Awaitable[Sequence[str]]]
"""Resolves a name to addresses. Raises OSError."""


class HttpReceivers:
    """Implements `Receivers` over HTTP.

    `networks` are private networks that may be called, over plain http and at any port. Public addresses are called
    over https at `ports` only. `wall` returns the wall time, for a Retry-After with a date. `tls` and `lookup` are
    replaced by tests.
    """

    def __init__(
        self,
        networks: Sequence[Network],
        wall: Callable[[], float],
        *,
        ports: Sequence[int] = (443, 8443),
        tls: ssl.SSLContext | bool = True,
        lookup: Lookup | None = None,
    ) -> None:
        self._networks = networks
        self._ports = ports
        self._wall = wall
        self._tls = tls
        self._threads = ThreadPoolExecutor(LOOKUP_THREADS, "callback-names")
        self._lookup = lookup
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        """Limits the lookups of each tenant that has any."""

    def refusal(self, url: str) -> str:
        """Return why a URL cannot be used for a callback; "" if it can."""
        try:
            urls.parse(url, self._networks, self._ports)
        except InvalidUrlError as error:
            return str(error)
        return ""

    async def post(
        self, tenant: str, url: str, headers: Mapping[str, str], body: bytes, may_send: Callable[[], bool]
    ) -> Outcome:
        """Make one attempt for a tenant. Failures are returned as outcomes, not raised.

        `may_send` is called right before the first byte. If it returns False, nothing is sent. Raises NotSentError.
        """
        try:
            async with asyncio.timeout(ATTEMPT_TIMEOUT):
                target = urls.parse(url, self._networks, self._ports)
                checked = await self._checked_addresses(tenant, target)
                if not checked:
                    return Outcome(Problem.ADDRESS_REFUSED)
                from gateway.callbacks_http import transport  # late: importing aiohttp would double the start-up time

                head = await transport.post(
                    url, target.host, checked, headers=headers, body=body, tls=self._tls, may_send=may_send
                )
                return _outcome(head, self._wall())
        except CertificateError:
            return Outcome(Problem.CERTIFICATE)
        except InvalidUrlError:  # the settings have changed since the callback was created
            return Outcome(Problem.ADDRESS_REFUSED)
        except TimeoutError:
            return Outcome(Problem.TIMEOUT)
        except (OSError, UnicodeError):
            return Outcome(Problem.CONNECTION)

    async def aclose(self) -> None:
        """Stop the threads without waiting for lookups that hang."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _checked_addresses(self, tenant: str, target: Target) -> Sequence[str]:
        """Return the addresses of a target; none if one of them may not be called."""
        resolved = [str(target.address)] if target.address is not None else await self._resolve(tenant, target.host)
        allowed = all(addresses.allowed(text, self._networks) for text in resolved)
        if allowed and not (target.https and target.common_port):
            allowed = all(addresses.in_networks(addresses.parse(text), self._networks) for text in resolved)
        return resolved if allowed else []

    async def _resolve(self, tenant: str, host: str) -> Sequence[str]:
        if self._lookup is not None:
            return list(await self._lookup(host))
        turn = self._turns.setdefault(tenant, asyncio.Semaphore(MAX_CONCURRENT_LOOKUPS))
        await turn.acquire()
        looking = asyncio.get_running_loop().run_in_executor(self._threads, addresses.resolve, host)
        looking.add_done_callback(lambda _: turn.release())
        return await asyncio.shield(looking)


def _outcome(head: ResponseHead, wall: float) -> Outcome:
    status = head.status
    if 200 <= status < 300:
        return Outcome(http_status=status)
    problem = Problem.GONE if status == 410 else Problem.REDIRECT if 300 <= status < 400 else Problem.STATUS
    return Outcome(problem, status, parse_retry_after(head.retry_after, head.date, wall))
