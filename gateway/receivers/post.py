"""The one POST of an attempt: to an address that was checked for this attempt, within one limit for everything.

A name is looked up anew each time, all its addresses are checked, and the connection goes to one of those that were
checked: there is no second look-up between the check and the use. Redirects are not followed, answers are not read,
nothing is kept: no connection, no cookie, no proxy of the environment.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from gateway import addresses
from gateway.addresses import Network
from gateway.callbacks.model import Outcome, Problem
from gateway.headers import retry_after
from gateway.receivers.urls import Place, UnfitError, place

LIMIT = 15.0
"""Seconds for an attempt in all: the look-up, the connection, the request, the head of the answer."""
LOOK_UPS = 32
"""Look-ups of names under way: those that hang must not keep others waiting."""
Lookup = Callable[[str], Awaitable[Sequence[str]]]
"""The addresses of a name. Raises OSError."""


class Answer(NamedTuple):
    """The head of an answer."""

    status: int
    retry_after: str | None


class UntrustedError(Exception):
    """The other side is not proved to be who the name says."""


class HttpReceivers:
    """The `Receivers` over HTTP. `networks` may be called whatever they are, over plain http and at any port.

    All others are called at `ports`.

    `wall` is the time that a Retry-After with a date is compared with; `tls` and `lookup` are for tests.
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
        self._threads = ThreadPoolExecutor(LOOK_UPS, "callback-names")
        self._lookup = lookup or self._ask_the_system

    def refusal(self, url: str) -> str:
        """Why the URL can be no callback's."""
        try:
            place(url, self._networks, self._ports)
        except UnfitError as error:
            return str(error)
        return ""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Whatever goes wrong is an outcome; only cancellation passes."""
        try:
            async with asyncio.timeout(LIMIT):
                to = place(url, self._networks, self._ports)
                found = await self._addresses(to)
                if not found:
                    return Outcome(Problem.ADDRESS_REFUSED)
                from gateway.receivers import sending  # its import would double the time to the first answered call

                answer = await sending.post(url, to.host, found, headers=headers, body=body, tls=self._tls)
                return _judged(answer, self._wall())
        except UntrustedError:
            return Outcome(Problem.CERTIFICATE)
        except UnfitError:  # the operator has named other networks since it was created
            return Outcome(Problem.ADDRESS_REFUSED)
        except TimeoutError:
            return Outcome(Problem.TIMEOUT)
        except (OSError, UnicodeError):
            return Outcome(Problem.CONNECTION)

    async def aclose(self) -> None:
        """Let go of the threads; a look-up that hangs is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _addresses(self, to: Place) -> Sequence[str]:
        """Where it may be sent: all addresses of the name, or none where one of them is refused."""
        found = [str(to.address)] if to.address is not None else list(await self._lookup(to.host))
        good = all(addresses.allowed(text, self._networks) for text in found)
        if good and not (to.secure and to.usual):
            good = all(addresses.in_networks(addresses.parse(text), self._networks) for text in found)
        return found if good else []

    async def _ask_the_system(self, host: str) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        )
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _judged(answer: Answer, wall: float) -> Outcome:
    status = answer.status
    if 200 <= status < 300:
        return Outcome(http_status=status)
    problem = Problem.GONE if status == 410 else Problem.REDIRECT if 300 <= status < 400 else Problem.STATUS
    return Outcome(problem, status, retry_after(answer.retry_after, wall))
