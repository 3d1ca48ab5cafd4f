"""Runs the behaviours named in the arguments, or all of them, one after the other. Prints a line of JSON for each.

If the first argument is `--sync`, it runs the behaviours of the synchronous client.
"""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from behaviours import (
    access,
    callbacks,
    catalogs,
    characters,
    connection,
    ending,
    following,
    submitting,
    synchronous,
    uploads,
)
from behaviours.stage import BEHAVIOURS, Stage

GROUPS = (submitting, following, ending, access, connection, uploads, catalogs, characters, callbacks)
TIMEOUT = 90.0
"""Seconds for one behaviour."""


async def run(names: Iterable[str]) -> bool:
    """Run behaviours of the asynchronous client, and return whether all of them passed."""
    stage = Stage()
    results = [await report(name, partial(BEHAVIOURS[name], stage)) for name in names]
    await stage.client.close()
    return all(results)


async def run_sync(names: Iterable[str]) -> bool:
    """Run behaviours of the synchronous client in threads, and return whether all of them passed."""
    stage = synchronous.SyncStage()
    results = [await report(name, partial(asyncio.to_thread, synchronous.BEHAVIOURS[name], stage)) for name in names]
    stage.client.close()
    return all(results)


async def report(name: str, perform: Callable[[], Awaitable[None]]) -> bool:
    """Run a behaviour, print its result as JSON, and return whether it passed."""
    result: dict[str, object] = {"behaviour": name, "ok": True}
    try:
        async with asyncio.timeout(TIMEOUT):
            await perform()
    except Exception as error:
        traceback.print_exc()
        result |= {"ok": False, "error": f"{type(error).__name__}: {error}"}
    print(json.dumps(result), flush=True)
    return bool(result["ok"])


def main(arguments: list[str]) -> int:
    """Run the behaviours and return the exit code."""
    if arguments[:1] == ["--sync"]:
        passed = asyncio.run(run_sync(arguments[1:] or synchronous.BEHAVIOURS))
    else:
        passed = asyncio.run(run(arguments or BEHAVIOURS))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
