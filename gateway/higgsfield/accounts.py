"""Implements `Upstream` for several accounts: each call uses the credentials that it names."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable

from gateway.concurrency import OwnedTasks
from gateway.errors import GatewayError, upstream_unavailable
from gateway.generations.accounts import DEFAULT, Accounts
from gateway.generations.inputs import Input
from gateway.generations.model import Generation, PreparedRequest, RequestId, StatusReport, UpstreamKey, Wall
from gateway.generations.ports import Estimate, NotTaken, Outcome, Prepared, WebhookAddress
from gateway.generations.stores import Removal
from gateway.higgsfield import webhooks
from gateway.higgsfield.client import HiggsfieldClient
from gateway.higgsfield.credentials import Credentials, parse_credentials
from gateway.higgsfield.jobsets import read_job_set

CREDENTIALS_REFUSED = "Higgsfield refuses the credentials"
GONE = "it belongs to Higgsfield credentials that are not configured"


class HiggsfieldAccounts:
    """A client for each credentials. `default` are those of the environment.

    `open_client` makes a client. All clients have the same origin.
    """

    def __init__(
        self, accounts: Accounts, default: Credentials, open_client: Callable[[Credentials], HiggsfieldClient]
    ) -> None:
        self._accounts = accounts
        self._open = open_client
        self._on_date: Callable[[Wall | None], None] | None = None
        self._clients: dict[str, HiggsfieldClient] = {}
        self._closing = OwnedTasks()
        self.default = self.add(default)
        self.origin = self.default.origin
        """The origin of all accounts."""

    def add(self, credentials: Credentials) -> HiggsfieldClient:
        """Open the client of credentials, unless there is one."""
        if credentials.account in self._clients:
            return self._clients[credentials.account]
        client = self._clients[credentials.account] = self._open(credentials)
        if self._on_date is not None:
            client.on_date(self._on_date)
        return client

    def identify(self, text: str) -> str:
        """Return the id of credentials, `ID:SECRET`. Raises ValueError."""
        return parse_credentials(text).account

    def connect(self, text: str, accepted: bool | None = None) -> None:
        """Open the client of credentials, unless there is one. Raises ValueError.

        `accepted`: whether Higgsfield accepts them, if it was asked.
        """
        client = self.add(parse_credentials(text))
        if accepted:
            client.credentials_accepted = client.credentials_were_accepted = True

    async def accepts(self, text: str) -> bool | None:
        """Ask Higgsfield, and return whether it accepts credentials; None if it does not respond."""
        client = self._open(parse_credentials(text))
        client.logs_credentials = False  # they are not in use, and the operator who offers them gets the error
        try:
            await client.check_credentials()
        finally:
            await client.aclose()
        return client.credentials_accepted

    def accepted(self, credentials: str) -> bool | None:
        """Return whether Higgsfield's newest response accepts credentials; None if it is not known."""
        client = self._clients.get(credentials)
        return None if client is None else client.credentials_accepted

    def disconnect(self, credentials: str) -> None:
        """Make no more calls with credentials, unless those of the environment are the same.

        Calls in progress still get their responses: otherwise it would be unknown whether a submission is charged.
        """
        if credentials == self.default.account:
            return
        client = self._clients.pop(credentials, None)
        if client is not None:
            self._closing.start(client.close_when_idle())

    def current(self, credentials: str) -> HiggsfieldClient:
        """Return the client with the newest credentials of an account. Raises UPSTREAM_UNAVAILABLE."""
        return self._client(self._accounts.current(credentials) or credentials)

    def of_tenant(self, tenant: str) -> HiggsfieldClient:
        """Return the client with the newest credentials of a tenant's first account."""
        return self._client(self._accounts.first(tenant))

    @property
    def local(self) -> bool:
        """Whether the origin is on this machine, as a sandbox is."""
        return self.default.local

    def reaches(self, account: str, origin: str) -> bool:
        return origin == self.origin and account in self._clients

    def can_delete(self, account: str, origin: str) -> bool:
        return origin == self.origin and self._live(account) in self._clients

    def prepare(
        self, given: Input, key: UpstreamKey, outputs_ttl: float | None, webhook: WebhookAddress | None, account: str
    ) -> Prepared:
        return self._client(account).prepare(given, key, outputs_ttl, webhook)

    async def submit(self, request: PreparedRequest, may_send: Callable[[], bool]) -> Outcome:
        try:
            client = self._client(request.account, request.origin)
        except GatewayError as error:  # they were removed after the submission was marked
            return NotTaken(error.failure, may_retry=True, was_reached=False)
        return await client.submit(request, may_send)

    async def status(self, generation: Generation, request_id: RequestId | None = None) -> StatusReport | None:
        return await self._client_of(generation).status(generation, request_id)

    async def cancel(self, generation: Generation, request_id: RequestId | None = None) -> None:
        await self._client_of(generation).cancel(generation, request_id)

    async def delete(self, removal: Removal) -> None:
        await self._client(self._live(removal.account)).delete(removal)

    async def estimate(self, given: Input, account: str) -> Estimate:
        return await self._client(account).estimate(given)

    async def time(self) -> Wall | None:
        return await self.default.time()

    def read_webhook(self, body: bytes) -> StatusReport | None:
        """Parse the body of a v2 webhook; None if it is not one."""
        return webhooks.read_webhook(body, self._secrets())

    def read_job_set(self, body: bytes) -> StatusReport | None:
        """Parse the body of a v1 webhook; None if it is not a job set."""
        return read_job_set(body, "", self._secrets())

    def on_date(self, on_date: Callable[[Wall | None], None]) -> None:
        """Call `on_date` with the Date of responses; see `HiggsfieldClient.on_date`."""
        self._on_date = on_date
        for client in self._clients.values():
            client.on_date(on_date)

    async def check_credentials(self) -> None:
        """Check the credentials of all accounts; see `HiggsfieldClient.check_credentials`."""
        await asyncio.gather(*(client.check_credentials() for client in self._clients.values()))

    async def check_refused_credentials(self) -> None:
        """Check the newest credentials of the accounts that refuse them, by the newest response."""
        await asyncio.gather(*(client.check_credentials() for _, client in self._refused()))

    @property
    def refused(self) -> list[str]:
        """The names of the accounts whose newest credentials Higgsfield refuses, by its newest response."""
        return [name for name, _ in self._refused()]

    @property
    def none_was_accepted(self) -> bool:
        """Whether Higgsfield refuses the credentials of all accounts, and has accepted none of them before."""
        return all(
            client.credentials_accepted is False and not client.credentials_were_accepted
            for _, client in self._newest()
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._closing.cancel()
        for client in self._clients.values():
            await client.aclose()

    def _newest(self) -> list[tuple[str, HiggsfieldClient]]:
        return [(name, self._client(one.credentials[0])) for name, one in self._accounts.by_name.items()]

    def _refused(self) -> list[tuple[str, HiggsfieldClient]]:
        return [(name, client) for name, client in self._newest() if client.credentials_accepted is False]

    def _client_of(self, generation: Generation) -> HiggsfieldClient:
        """Return the client for status and cancel calls, which charge nothing.

        If the credentials of the generation are gone, it is that of its account, or the default one: they may belong to
        the same account at Higgsfield.
        """
        return self._clients.get(self._live(generation.spec.account), self.default)

    def _live(self, credentials: str) -> str:
        """Return credentials if they have a client, else the newest ones of their account."""
        return credentials if credentials in self._clients else self._accounts.current(credentials) or credentials

    def _client(self, credentials: str, origin: str | None = None) -> HiggsfieldClient:
        client = self._clients.get(credentials)
        if client is None or origin not in {None, client.origin}:
            raise upstream_unavailable(GONE)
        return client

    def _secrets(self) -> tuple[str, ...]:
        return tuple(secret for client in self._clients.values() for secret in client.secrets)


async def all_refused(clients: Iterable[HiggsfieldClient]) -> bool:
    """Ask Higgsfield, and return whether it refuses the credentials of all clients. Closes them."""
    async with contextlib.AsyncExitStack() as opened:
        asked = [*clients]
        for client in asked:
            opened.push_async_callback(client.aclose)
        await asyncio.gather(*(client.check_credentials() for client in asked))
    return all(client.credentials_accepted is False for client in asked)


def shown(refused: list[str]) -> str:
    """Return accounts for a message; "" if there is only the default one."""
    return "" if refused in ([], [DEFAULT]) else f" of the account {', '.join(refused)}"
