"""Runs the behaviours that are named, else all, one after the other; one line of JSON for each.

With `--sync` first: those that are written for the client without asyncio.
"""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from behaviours import access, callbacks, catalogs, characters, ending, following, submitting, twin, uploads
from behaviours.stage import BEHAVIOURS, Stage

GROUPS = (submitting, following, ending, access, uploads, catalogs, characters, callbacks)
PATIENCE = 60.0


async def run(names: Iterable[str]) -> bool:
    """Whether all of them held."""
    stage = Stage()
    results = [await judge(name, partial(BEHAVIOURS[name], stage)) for name in names]
    await stage.client.close()
    return all(results)


async def run_twin(names: Iterable[str]) -> bool:
    """The same without asyncio, in a thread."""
    stage = twin.TwinStage()
    results = [await judge(name, partial(asyncio.to_thread, twin.BEHAVIOURS[name], stage)) for name in names]
    stage.client.close()
    return all(results)


async def judge(name: str, perform: Callable[[], Awaitable[None]]) -> bool:
    """Print whether it held, and what was wrong."""
    told: dict[str, object] = {"behaviour": name, "ok": True}
    try:
        async with asyncio.timeout(PATIENCE):
            await perform()
    except Exception as error:
        traceback.print_exc()
        told |= {"ok": False, "error": f"{type(error).__name__}: {error}"}
    print(json.dumps(told), flush=True)
    return bool(told["ok"])


def main(arguments: list[str]) -> int:
    """The exit code."""
    if arguments[:1] == ["--sync"]:
        held = asyncio.run(run_twin(arguments[1:] or twin.BEHAVIOURS))
    else:
        held = asyncio.run(run(arguments or BEHAVIOURS))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
