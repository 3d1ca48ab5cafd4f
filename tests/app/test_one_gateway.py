"""A store has one gateway, whatever path leads to it: two gateways would repeat each other's submissions.

Each gateway is a separate process, as an operator would start it.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateway.cli import exit_codes
from tests.app.command import environment, run
from tests.durability.process import GatewayProcess


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Path]:
    """The store of a running gateway."""
    folder = tmp_path / "live"
    folder.mkdir()
    async with GatewayProcess(folder, "http://127.0.0.1:9") as gateway:
        yield folder / "store.db"
        assert await gateway.terminate() == 0


def itself(store: Path) -> Path:
    return store


def without_its_side_file(store: Path) -> Path:
    Path(f"{store}.lock").unlink()
    return store


def by_a_link(store: Path) -> Path:
    link = store.parent.parent / "link.db"
    link.symlink_to(store)
    return link


def by_a_link_to_its_folder(store: Path) -> Path:
    link = store.parent.parent / "folder"
    link.symlink_to(store.parent)
    return link / store.name


def by_a_second_name(store: Path) -> Path:
    other = store.parent.parent / "second.db"
    os.link(store, other)
    return other


def by_a_link_without_its_side_file(store: Path) -> Path:
    return by_a_link(without_its_side_file(store))


def another_file_in_its_place(store: Path) -> Path:
    new = Path(f"{store}.new")
    new.touch()
    new.replace(store)
    return store


WAYS = [
    itself, without_its_side_file, by_a_link, by_a_link_to_its_folder, by_a_second_name,
    by_a_link_without_its_side_file, another_file_in_its_place,
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
async def test_a_second_gateway_is_refused(store: Path, way: Callable[[Path], Path]) -> None:
    given = environment(store.parent, {"HFGATEWAY_STORE_URL": f"sqlite:///{way(store)}"})
    ended = await run("serve", environment=given)
    assert (ended.code, ended.out) == (exit_codes.USAGE, "")
    assert "in use by another gateway" in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize("way", [itself, without_its_side_file, by_a_link, by_a_link_to_its_folder])
async def test_commands_by_any_path_reach_the_gateway_of_the_store(store: Path, way: Callable[[Path], Path]) -> None:
    variables = {"HFGATEWAY_STORE_URL": f"sqlite:///{way(store)}"}
    given = environment(store.parent, variables)
    made = await run("keys", "create", "--tenant", "shop", environment=given)
    assert (made.code, made.err) == (0, f"store: {store} (a gateway runs on it)\n")
    unknown = await run("resolve", "no-such-id", "--lost", environment=given)
    assert (unknown.code, unknown.err) == (exit_codes.REFUSED, "error: no such generation\n")
    listed = await run("keys", "list", environment=given)
    assert "shop" in listed.out


@pytest.mark.parametrize("way", [by_a_second_name, another_file_in_its_place])
async def test_a_command_without_a_socket_does_not_touch_the_store(store: Path, way: Callable[[Path], Path]) -> None:
    given = environment(store.parent, {"HFGATEWAY_STORE_URL": f"sqlite:///{way(store)}"})
    Path(f"{store}.admin").unlink()
    refused = await run("keys", "create", "--tenant", "shop", environment=given)
    assert (refused.code, refused.out) == (exit_codes.REFUSED, "")
    assert "in use by another gateway" in refused.err


async def test_the_store_of_an_ended_gateway_can_be_opened_by_a_link(tmp_path: Path) -> None:
    async with GatewayProcess(tmp_path, "http://127.0.0.1:9") as gateway:
        await gateway.kill()
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "store.db")
    ended = await run("serve", environment=environment(tmp_path, {"HFGATEWAY_STORE_URL": f"sqlite:///{link}"}))
    assert ended.out.count("hfgateway: gRPC on ") == 1
    assert f"store {tmp_path / 'store.db'}" in ended.out
    assert not Path(f"{link}.lock").exists()


async def test_no_file_beside_the_store_can_be_opened_by_other_users(tmp_path: Path) -> None:
    """Another user who can read the lock can hold it; the operator's commands trust the address that they find."""
    umask = os.umask(0)
    try:
        async with GatewayProcess(tmp_path, "http://127.0.0.1:9", launcher=(sys.executable,)) as gateway:
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob("store.db*")}
            assert await gateway.terminate() == 0
    finally:
        os.umask(umask)
    assert {"store.db", "store.db.lock", "store.db.admin", "store.db.mark"} <= modes.keys()
    assert [name for name, mode in modes.items() if mode & 0o077] == []
