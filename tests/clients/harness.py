"""The environment of a client's behaviours: sandbox and gateway, proxies that can be cut, and a control server.

docs/clients.md describes the environment variables of the program and the requests of the control server. To run a
program by hand: `python -m tests.clients.harness [--in=FOLDER] [--database=URL] COMMAND ARGUMENTS…`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import aiohttp
from aiohttp import web

from gateway.access.keys import ApiKey
from gateway.process.app import Gateway
from gateway.sandbox.server import SandboxOptions
from gateway.settings.config import read_settings
from gateway.store.postgres.store import PostgresStore
from gateway.store.sqlite.store import SqliteStore
from gateway.store.store import Store
from harness.proxy import Proxy
from hfgateway_client import AsyncClient, WebhookError, verify_webhook
from tests.app.certificates import Authority, Pair
from tests.clients.replicas import Replicas
from tests.support import new_stores
from tests.support.elsewhere import request_elsewhere
from tests.support.running import CREDENTIALS, DEFAULT_OPTIONS, Running

ROOT = Path(__file__).parents[2]
NAME = "gateway.test"
HOSTS = ("127.0.0.1", "127.0.0.2")
"""The addresses that the name has in turn."""
NO_PROXY = f"127.0.0.1,127.0.0.2,localhost,{NAME}"
Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class Names:
    """The address of `NAME` for the program, answered by names.c."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "name"
        self._library = folder / "names.so"
        self.address = HOSTS[0]
        source = Path(__file__).with_name("names.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", self._library, source, "-ldl"], check=True)

    @property
    def address(self) -> str:
        """The address that the name has."""
        return self._file.read_text()

    @address.setter
    def address(self, address: str) -> None:
        # Replaced at once, because a lookup may read it at the same time.
        new = self._file.with_suffix(".new")
        new.write_text(address)
        new.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which every client looks names up in names.c."""
        return {
            "HFG_NAME": NAME,
            "HFG_NAME_FILE": str(self._file),
            "LD_PRELOAD": str(self._library),
            "GODEBUG": "netdns=cgo",
            "GRPC_DNS_RESOLVER": "native",
        }


@dataclass(frozen=True)
class Proxies:
    """The proxies before the gateway: to its gRPC port, by address and by name, and to its HTTP port."""

    grpc: Proxy
    named: Proxy
    http: Proxy

    def aim(self, grpc_address: str, http_address: str) -> None:
        """Forward new connections to the gateway with these addresses."""
        self.grpc.target = self.named.target = grpc_address
        self.http.target = http_address


class Gateways(Protocol):
    """The gateways that a program uses."""

    @property
    def addresses(self) -> tuple[str, str]:
        """The addresses of the gRPC and the HTTP port for new connections."""

    async def restart(self) -> None:
        """End a gateway, and start one on the same store."""


class OneGateway:
    """The gateway of a `Running`."""

    def __init__(self, running: Running) -> None:
        self._running = running

    @property
    def addresses(self) -> tuple[str, str]:
        gateway = self._running.gateway
        return gateway.grpc_address, gateway.http_address.removeprefix("http://")

    async def restart(self) -> None:
        """Drain the gateway, and start a new one on its store."""
        await self._running.stop_gateway()
        await self._running.start_gateway()


class Harness:
    """Gateways that the program can cut off and restart, a gateway with TLS, and the sandbox behind all."""

    def __init__(
        self,
        running: Running,
        gateways: Gateways,
        secured: Gateway,
        authority: Path,
        *,
        keys: Sequence[str],
        proxies: Proxies,
        names: Names,
    ) -> None:
        self._running = running
        self._gateways = gateways
        self._keys = keys
        self._secured = secured
        self._authority = authority
        self._proxies = proxies
        self._names = names
        self._control = ""
        self._cutting: asyncio.Task[None] | None = None
        self._received: tuple[Mapping[str, str], bytes] | None = None
        proxies.aim(*gateways.addresses)

    @property
    def environment(self) -> dict[str, str]:
        """The variables of docs/clients.md."""
        return {
            "HFG_ADDRESS": self._proxies.grpc.address,
            "HFG_NAMED_ADDRESS": f"{NAME}:{self._proxies.named.address.rpartition(':')[2]}",
            "HFG_HTTP": f"http://{self._proxies.http.address}",
            "HFG_API_KEY": self._keys[0],
            "HFG_OTHER_API_KEY": self._keys[1],
            "HFG_TLS_ADDRESS": self._secured.grpc_address,
            "HFG_TLS_CA": str(self._authority),
            "HFG_CONTROL": self._control,
            **self._names.environment,
        }

    async def advance(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Advance the sandbox's clock."""
        self._running.clock.advance(float(body["seconds"]))
        return {"now": self._running.clock.now()}

    async def cut(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Reset every connection to the gateway."""
        return {"connections": self._proxies.grpc.cut() + self._proxies.http.cut()}

    async def swallow(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Silently drop every connection to the gateway."""
        return {"connections": self._proxies.grpc.swallow() + self._proxies.http.swallow()}

    async def lose(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Discard all responses on open connections until a callback with this URL exists; then reset them."""
        url = str(body["callback_url"])
        connections = self._proxies.grpc.mute() + self._proxies.http.mute()
        self._cutting = asyncio.create_task(self._cut_after_creation(url))
        return {"connections": connections}

    async def _cut_after_creation(self, url: str) -> None:
        async with (
            asyncio.timeout(30),
            AsyncClient(self._gateways.addresses[0], api_key=self._keys[0]) as client,
        ):
            while url not in [callback.url async for callback in client.list_callbacks()]:
                await asyncio.sleep(0.02)
        await self.cut({})

    async def receive(self, request: web.Request) -> web.Response:
        """Accept the delivery of a callback."""
        self._received = request.headers, await request.read()
        return web.Response()

    async def verify(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return whether the last delivery was signed with this secret."""
        if self._received is None:
            raise ValueError("no delivery was received")
        headers, received = self._received
        try:
            verify_webhook(str(body["secret"]), headers, received)
        except WebhookError:
            return {"valid": False}
        return {"valid": True}

    async def move(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Give the gateway's name another address, and move the gateway to it."""
        host = next(host for host in HOSTS if host != self._names.address)
        await self._proxies.named.move(host)
        self._names.address = host
        return {"address": host}

    async def restart(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """End a gateway, and start one on the same store."""
        await self._gateways.restart()
        self._proxies.aim(*self._gateways.addresses)
        return {}

    async def charges(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the charges of a prompt minus refunds, and the number of its submissions."""
        ledger, prompt = self._running.ledger, str(body["prompt"])
        refunds = Counter(refund.request_id for refund in ledger.refunds)
        charged = [charge for charge in ledger.charges if charge.prompt == prompt]
        return {
            "charges": len(charged) - sum(refunds[charge.request_id] for charge in charged),
            "submissions": sum(submission.prompt == prompt for submission in ledger.submissions),
        }

    async def elsewhere(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make a request at the sandbox directly, and return its id."""
        return {"request_id": await request_elsewhere(self._running, str(body["prompt"]))}

    async def plan(self, request: web.Request) -> web.Response:
        """Forward a plan to the sandbox unchanged, and return its response."""
        async with (
            aiohttp.ClientSession() as session,
            session.post(self._running.sandbox.url + "/__plan", data=await request.read()) as answer,
        ):
            return web.Response(status=answer.status, body=await answer.read(), content_type="application/json")

    async def serve_control(self, stack: AsyncExitStack) -> None:
        """Run the control server until the stack is closed."""
        application = web.Application()
        answering = (
            self.advance, self.cut, self.swallow, self.lose, self.verify, self.move, self.restart, self.charges,
            self.elsewhere,
        )  # fmt: skip
        for handler in answering:
            application.router.add_post(f"/{handler.__name__}", _answering(handler))
        application.router.add_post("/plan", self.plan)
        application.router.add_post("/receive", self.receive)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        self._control = f"http://{host}:{port}"


@asynccontextmanager
async def serve(folder: Path, database: str = "") -> AsyncIterator[Harness]:
    """Run all that a program needs. With the URL of a `database`, the gateways are replicas on it."""
    async with AsyncExitStack() as stack:
        # With several tenants and no known limit, generations that have not started would hold up the next behaviour.
        settings = {"AUTH": "keys", "UPSTREAM_CONCURRENCY": str(DEFAULT_OPTIONS["concurrency_limit"])}
        running = Running(folder, SandboxOptions(**DEFAULT_OPTIONS), settings)
        stack.push_async_callback(running.stop)
        await running.start()
        # Not in threads: these start processes, see `languages.run_all`.
        authority = Authority.made(folder)
        served = authority.signed("gateway")
        names = Names(folder)
        keys = [await running.key(tenant) for tenant in ("first", "second")]
        made = running.gateway.access.listed()
        await _copy_keys(made, SqliteStore(folder / "secured.db", _broken))
        secured = await _start_secured(folder, running.sandbox.url, served)
        stack.push_async_callback(secured.stop)
        proxies = Proxies(*[await stack.enter_async_context(Proxy()) for _ in range(3)])
        gateways: Gateways = OneGateway(running)
        if database:
            await _copy_keys(made, await PostgresStore.open(database, database, _broken, connections=5))
            replicas = Replicas(folder, running.sandbox.url, STORE_URL=database, **settings)
            gateways = await stack.enter_async_context(replicas)
        harness = Harness(running, gateways, secured, authority.cert, keys=keys, proxies=proxies, names=names)
        await harness.serve_control(stack)
        yield harness


def _broken(error: Exception) -> None:
    raise error


async def _copy_keys(keys: Iterable[ApiKey], store: Store) -> None:
    """Copy the keys into another store, and close it."""
    for key in keys:
        await store.keys.add_api_key(key)
    await store.close()


async def _start_secured(folder: Path, upstream: str, served: Pair) -> Gateway:
    settings = {
        "GRPC_ADDRESS": "127.0.0.1:0",
        "HTTP_ADDRESS": "127.0.0.1:0",
        "STORE_URL": f"sqlite:///{folder / 'secured.db'}",
        "UPSTREAM_URL": upstream,
        "AUTH": "keys",
        "TLS_CERT": str(served.cert),
        "TLS_KEY": str(served.key),
        "DRAIN": "5",
    }
    gateway = Gateway(read_settings({f"HFGATEWAY_{name}": value for name, value in settings.items()}), CREDENTIALS)
    await gateway.start()
    return gateway


def _answering(handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Wrap a handler with JSON bodies. An invalid request gets status 400 and an error text.

    Any other error gets 500 and its traceback, which the programs print, so that a failed run shows the cause.
    """

    async def answer(request: web.Request) -> web.Response:
        try:
            body = await request.json() if request.can_read_body else {}
            return web.json_response(await handler(body))
        except (ValueError, KeyError, TypeError) as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)
        except Exception:
            return web.json_response({"error": traceback.format_exc()}, status=500)

    return answer


def environment_of(harness: Harness) -> dict[str, str]:
    """Return this process's environment without gateway settings and proxies, plus the harness's variables."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("HF_", "HFG_", "HFGATEWAY_"))}
    return kept | {"NO_PROXY": NO_PROXY, "no_proxy": NO_PROXY} | harness.environment


async def run(
    command: Sequence[str], folder: Path, database: str = "", *, patience: float | None = None, captured: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder with a harness; return its exit code, and its output if that is `captured`.

    After `patience` seconds, its process group is killed.
    """
    stream = subprocess.PIPE if captured else None
    with tempfile.TemporaryDirectory(prefix="hfgateway-behaviours-") as store:
        async with serve(Path(store), database) as harness:
            process = await asyncio.create_subprocess_exec(
                *command, cwd=folder, env=environment_of(harness), stdin=subprocess.DEVNULL, stdout=stream,
                stderr=stream, start_new_session=captured,
            )  # fmt: skip
            ending = asyncio.ensure_future(process.communicate())
            try:
                ended, _ = await asyncio.wait([ending], timeout=patience)
            finally:
                if not ending.done():  # a child of the command may hold its output open
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL) if captured else process.kill()
            out, errors = await ending
    late = "" if ended else f"\nended after {patience:g} s"
    assert process.returncode is not None
    return subprocess.CompletedProcess(command, process.returncode, _text(out), _text(errors) + late)


def _text(output: bytes | None) -> str:
    return (output or b"").decode(errors="replace")


def main(arguments: Sequence[str]) -> int:
    """Run the command line; return the exit code of the command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--in", dest="folder", type=Path, default=Path.cwd())
    parser.add_argument("--database", default="")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args(arguments)
    new_stores.install()
    return asyncio.run(run(given.command, given.folder, given.database, captured=False)).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
