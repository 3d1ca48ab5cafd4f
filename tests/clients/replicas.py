"""Replicas on a PostgreSQL database, of which a program can end the one that leads."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from types import TracebackType

from tests.durability.process import GatewayProcess

LEADS = re.compile("hfgateway: leads the replicas of its store")


class Replicas:
    """Two gateways in processes, of which the first one leads. New connections go to the other one."""

    def __init__(self, folder: Path, upstream: str, **settings: str) -> None:
        self._folder = folder
        self._upstream = upstream
        self._settings = settings
        self._replicas: list[GatewayProcess] = []
        self._succeeding: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Replicas:
        await self._start()
        await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._succeeding is not None:
            self._succeeding.cancel()
            await asyncio.wait([self._succeeding])
        for replica in self._replicas:
            await replica.kill()

    @property
    def addresses(self) -> tuple[str, str]:
        """The addresses of the newest replica that serves."""
        newest = self._replicas[-1]
        return newest.address, newest.http_address.removeprefix("http://")

    async def restart(self) -> None:
        """Kill the leader. Return at once: the other one takes over while the program continues."""
        if self._succeeding is not None:
            await self._succeeding
        await self._replicas.pop(0).kill()
        self._succeeding = asyncio.create_task(self._succeed())

    async def _succeed(self) -> None:
        """Start another replica once there is a leader, so that it does not take over itself."""
        await self._replicas[0].prints(LEADS)
        await self._start()

    async def _start(self) -> None:
        replica = GatewayProcess(self._folder, self._upstream, **self._settings)
        try:
            await replica.start()
        except BaseException:
            await replica.kill()
            raise
        self._replicas.append(replica)
