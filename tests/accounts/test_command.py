"""`hfgateway accounts` as a process: it shows no secret, and reads credentials from a file or its standard input."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from threading import Timer

import pytest

from tests.accounts.conftest import ADS, FILMS, KEY, NEWER, Start, accepted, caller, sent
from tests.app.command import environment
from tests.support.operator import command
from tests.support.running import Running

SECRETS = ("films-secret", "ads-secret")


async def run(running: Running, *arguments: str) -> str:
    ended = await command(running, "accounts", *arguments)
    assert ended.code == 0, ended
    assert not [secret for secret in SECRETS if secret in ended.out + ended.err]
    return ended.out


async def test_the_commands_of_the_guide(start: Start, tmp_path: Path) -> None:
    running = await start()
    for name, credentials in (("films", FILMS), ("ads", ADS), ("newer", NEWER)):
        (tmp_path / name).write_text(credentials + "\n")
    await run(running, "add", "films", "--file", str(tmp_path / "films"))
    assert await run(running, "add", "ads", "--tenant", "shop", "--file", str(tmp_path / "ads"))
    await run(running, "assign", "--tenant", "agency", "--account", "films=3", "--account", "default=1")
    await run(running, "assign", "--tenant", "shop", "--account", "ads")
    await accepted(await caller(running, "shop"), "a fox")
    assert sent(running, ADS) == ["a fox"]
    lines = (await run(running, "list", "--check")).splitlines()
    assert lines[0].startswith("default")
    assert ("accepted" in lines[1], "1 in flight" in lines[2], "tenant shop" in lines[2]) == (True, True, True)
    assert lines[3:] == ["tenant agency: films=3 default=1", "tenant shop: ads=1"]
    assert len(json.loads(await run(running, "list", "--json"))["accounts"]) == 3
    await run(running, "rotate", "films", "--file", str(tmp_path / "newer"))
    await run(running, "remove", "films", "--old")
    await run(running, "unassign", "--tenant", "agency")
    await run(running, "remove", "films")
    assert "films" not in await run(running, "list")


async def test_new_credentials_are_shown_as_accepted_only_if_higgsfield_responded(start: Start, tmp_path: Path) -> None:
    running = await start()
    (tmp_path / "films").write_text(FILMS)
    (tmp_path / "newer").write_text(NEWER)
    assert "\taccepted\t" in await run(running, "add", "films", "--file", str(tmp_path / "films"))
    await running.sandbox.stop()
    shown = await run(running, "rotate", "films", "--file", str(tmp_path / "newer"))
    assert [line.split("\t")[3] for line in shown.splitlines()] == ["not checked", "accepted"]


async def test_what_is_wrong_is_said_without_secrets(start: Start, tmp_path: Path) -> None:
    running = await start()
    (tmp_path / "wrong").write_text("films:films-secret-of-no-account")
    (tmp_path / "binary").write_bytes(b"films:films-secret\xff")
    for arguments in (
        ("add", "films", "--file", str(tmp_path / "binary")),
        ("add", "films", "--file", str(tmp_path / "wrong")),
        ("rotate", "films", "--file", str(tmp_path / "wrong")),
        ("remove", "films"),
        ("assign", "--tenant", "shop", "--account", "films"),
        ("assign", "--tenant", "shop", "--account", "films=many"),
        ("assign", "--tenant", "shop", "--account", "default=0"),
    ):
        ended = await command(running, "accounts", *arguments)
        assert ended.code != 0, arguments
        assert ended.err
        assert not [word for word in ("films-secret", "Traceback") if word in ended.out + ended.err]


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
async def test_credentials_that_are_typed_are_not_shown(start: Start, locale: str) -> None:
    running = await start()
    variables = environment(running.store_path.parent, {"HFGATEWAY_STORE_URL": f"sqlite:///{running.store_path}"})
    ours, its = os.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "accounts", "add", "films"),
        stdin=its,
        stdout=its,
        stderr=its,
        env=variables | {"LC_ALL": locale},
        start_new_session=True,
    )
    os.close(its)
    late = Timer(30.0, process.kill)  # then the terminal ends
    late.start()
    shown = b""
    try:
        while chunk := await asyncio.to_thread(os.read, ours, 65536):
            shown += chunk
            if shown.endswith(b"KEY_ID:SECRET: "):
                os.write(ours, f"{FILMS}\n".encode())
    except OSError:  # Linux reports EIO when the other end is closed
        pass
    finally:
        late.cancel()
        os.close(ours)
    assert await process.wait() == 0, shown
    assert b"films-secret" not in shown
    assert "films" in await run(running, "list")


async def test_a_new_key_can_be_set(start: Start, tmp_path: Path) -> None:
    running = await start(ACCOUNTS_KEY="")
    key = (await run(running, "new-key")).strip()
    assert len(key) == len(KEY)
    await running.stop_gateway()
    running._settings["ACCOUNTS_KEY"] = key  # type: ignore[index]
    await running.start_gateway()
    (tmp_path / "films").write_text(FILMS)
    await run(running, "add", "films", "--file", str(tmp_path / "films"))
