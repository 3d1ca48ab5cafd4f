"""Backups, and restored, copied or moved stores: recognised at the start, and nothing is charged twice.

Gateways and commands are separate processes; the ledger of the sandbox lists the charges.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from gateway.cli import exit_codes
from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox, SandboxOptions
from gateway.store.sqlite import files, mark, restore
from hfgateway.v1 import generation_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from tests.app.command import Finished, environment, run
from tests.durability.process import GatewayProcess, stub
from tests.support.running import name_of, sized, soul

STORED = pb.WAIT_FOR_STORED
DONE = pb.WAIT_FOR_DONE
RESTORED = "hfgateway migrate --restored"


class Site:
    """A folder with a store, a sandbox, and the actions of an operator."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.folder, self.sandbox = folder, sandbox
        self.store = folder / "store.db"

    def gateway(self, **settings: str) -> GatewayProcess:
        return GatewayProcess(self.folder, self.sandbox.url, **settings)

    async def command(self, *arguments: str, store: Path | None = None, **variables: str) -> Finished:
        given = {"HFGATEWAY_STORE_URL": f"sqlite:///{store or self.store}", "HFGATEWAY_UPSTREAM_URL": self.sandbox.url}
        return await run(*arguments, environment=environment(self.folder, given | variables))

    async def done(self, *arguments: str, store: Path | None = None) -> str:
        ended = await self.command(*arguments, store=store)
        assert (ended.code, ended.err.partition("store: ")[0]) == (0, ""), ended
        return ended.out

    async def refused(self, store: Path | None = None) -> str:
        """Return the one-line error of a refused start, after checking that a command on the store prints the same."""
        ended = await self.command("serve", store=store)
        assert (ended.code, ended.out) == (exit_codes.USAGE, ""), ended
        assert ended.err.count("\n") == 1
        keys = await self.command("keys", "list", "--offline", store=store)
        assert keys.err.partition("\n")[2].removeprefix("error: ") == ended.err.removeprefix(
            "error: HFGATEWAY_STORE_URL: "
        )
        return ended.err

    def restore(self, backup: Path) -> None:
        """Restore a backup as docs/operations.md describes."""
        for end in ("-wal", "-shm"):
            Path(f"{self.store}{end}").unlink(missing_ok=True)
        shutil.copy(backup, self.store)

    def plan(self, **fault: Any) -> None:
        self.sandbox.state.plan.add([Fault.parse({"on": "submit"} | fault)])


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with Sandbox(SandboxOptions(port=0, queue_seconds=0.05, image_seconds=0.05)) as sandbox:
        yield Site(tmp_path, sandbox)


async def submit(gateway: GatewayProcess, request: pb.SubmitGenerationRequest) -> generation_pb2.Generation:
    async with gateway.channel() as channel:
        answer: pb.SubmitGenerationResponse = await stub(channel).SubmitGeneration(request, timeout=30)
    return answer.generation


async def get(gateway: GatewayProcess, generation_id: str) -> generation_pb2.Generation:
    async with gateway.channel() as channel:
        found: pb.GetGenerationResponse = await stub(channel).GetGeneration(pb.GetGenerationRequest(id=generation_id))
    return found.generation


async def stored_unsent(site: Site, request: pb.SubmitGenerationRequest) -> str:
    """Leave a pending generation in the store of a gateway that has ended; return its id."""
    site.plan(kind="429", times=10**6, headers={"Retry-After": "2"})
    async with site.gateway() as gateway:
        waiting = await submit(gateway, request)
        async with gateway.channel() as channel:
            async for answer in stub(channel).WatchGeneration(pb.WatchGenerationRequest(id=waiting.id), timeout=30):
                if answer.generation.HasField("delay"):
                    break
        await gateway.kill()
    site.sandbox.state.plan.clear()
    with closing(sqlite3.connect(site.store)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return waiting.id


REQUESTS = pytest.mark.parametrize(
    "request_of", [lambda **more: soul("a fox", **more), lambda **more: sized("a fox", **more)], ids=["v2", "v1"]
)


@REQUESTS
async def test_generations_sent_since_the_backup_are_not_charged_again(
    site: Site, request_of: Callable[..., pb.SubmitGenerationRequest]
) -> None:
    waiting = await stored_unsent(site, request_of(wait_for=STORED))
    backup = site.folder / "backup.db"
    await site.done("backup", str(backup))
    async with site.gateway() as gateway:
        ended = await submit(gateway, request_of(wait_for=DONE))
        assert (ended.id, name_of(ended)) == (waiting, "COMPLETED")
        assert await gateway.terminate() == 0
    charges = len(site.sandbox.ledger.charges)
    site.restore(backup)
    assert RESTORED in await site.refused()
    output = await site.done("migrate", "--restored")
    assert f"{waiting}\tdefault\t" in output
    async with site.gateway() as gateway:
        again = await submit(gateway, request_of(wait_for=STORED))
        assert (again.id, name_of(again)) == (waiting, "UNCERTAIN")
        assert "restored" in again.delay.message
        charge = site.sandbox.ledger.charges[0]
        bound = await site.done("resolve", waiting, "--as-request", charge.request_id)
        assert charge.request_id in bound
        ended = await submit(gateway, request_of(wait_for=DONE))
        assert (ended.id, name_of(ended)) == (waiting, "COMPLETED")
        assert await gateway.terminate() == 0
    assert len(site.sandbox.ledger.charges) == charges
    assert site.sandbox.ledger.double_charged_prompts == {}


async def test_an_uncertain_generation_in_a_backup_is_held_for_the_operator(
    site: Site,
) -> None:
    site.plan(kind="500", processed=True, times=10)
    async with site.gateway(upstream_idempotency="off") as gateway:
        one = await submit(gateway, soul("a fox", wait_for=STORED))
        async with gateway.channel() as channel:
            async for answer in stub(channel).WatchGeneration(pb.WatchGenerationRequest(id=one.id), timeout=30):
                if name_of(answer.generation) == "UNCERTAIN":
                    break
        await site.done("backup", str(site.folder / "backup.db"))
        await submit(gateway, soul("an owl", wait_for=STORED))
        await gateway.kill()
    site.restore(site.folder / "backup.db")
    assert "is a backup made at" in await site.refused()
    await site.done("migrate", "--restored")
    # Without the hold, its timeout would expire.
    async with site.gateway(uncertain_timeout="1", upstream_idempotency="off") as gateway:
        lost = await site.command("resolve", one.id, "--resubmit")
        assert (lost.code, "may be charged a second time" in lost.err) == (exit_codes.REFUSED, True)
        assert name_of(await get(gateway, one.id)) == "UNCERTAIN"
        assert await site.done("resolve", one.id, "--lost") == f"{one.id} LOST\n"


async def test_resume_tokens_from_before_a_restore_reset(site: Site) -> None:
    async with site.gateway() as gateway:
        await submit(gateway, soul("a fox", wait_for=DONE))
        await site.done("backup", str(site.folder / "backup.db"))
        await submit(gateway, soul("an owl", wait_for=DONE))
        token = await caught_up(gateway, "")
        assert await gateway.terminate() == 0
    site.restore(site.folder / "backup.db")
    await site.done("migrate", "--restored")
    async with site.gateway() as gateway, gateway.channel() as channel:
        await submit(gateway, soul("a hare", wait_for=DONE))
        await submit(gateway, soul("a cat", wait_for=DONE))
        stream = stub(channel).WatchGenerations(pb.WatchGenerationsRequest(resume_token=token), timeout=30)
        assert (await stream.read()).reset


async def test_no_revision_from_before_a_restore_is_used_again(site: Site) -> None:
    """A watcher continues after the last revision that it has, and a receiver ignores the revisions that it knows."""
    async with site.gateway(failpoint="after accepted by submit") as gateway:
        with suppress(grpc.aio.AioRpcError):
            await submit(gateway, soul("a fox", wait_for=STORED))
        assert await gateway.ended() == -9
    await site.done("backup", str(site.folder / "backup.db"))
    async with site.gateway() as gateway:
        before = await submit(gateway, soul("a fox", wait_for=DONE))
        assert await gateway.terminate() == 0
    site.restore(site.folder / "backup.db")
    await site.done("migrate", "--restored")
    async with site.gateway() as gateway, gateway.channel() as channel:
        request = pb.WatchGenerationRequest(id=before.id, after_revision=before.revision)
        messages = [one.generation async for one in stub(channel).WatchGeneration(request, timeout=30)]
        explained = await stub(channel).ExplainGeneration(pb.ExplainGenerationRequest(id=before.id))
    shown = [one for one in messages if one.id]
    assert name_of(shown[-1]) == "COMPLETED"
    assert all(one.revision > before.revision for one in shown)
    assert "the gateway's store was restored from a backup" in [event.description for event in explained.events]


async def caught_up(gateway: GatewayProcess, token: str) -> str:
    async with gateway.channel() as channel:
        stream = stub(channel).WatchGenerations(pb.WatchGenerationsRequest(resume_token=token), timeout=30)
        async for answer in stream:
            if answer.caught_up:
                return str(answer.resume_token)
    raise AssertionError("the watch ended")


async def test_an_older_copy_that_lacks_only_a_marker_is_recognised(site: Site) -> None:
    """The copy lacks only the commit of a send marker, which no caller has seen."""
    waiting = await stored_unsent(site, sized("a fox", wait_for=STORED))
    copy = site.folder / "copy.db"
    shutil.copy(site.store, copy)
    gateway = site.gateway(failpoint="after marked")
    with suppress(AssertionError):  # it may be killed before its ports answer, or after
        await gateway.start()
    assert await gateway.ended() == -9
    site.restore(copy)
    line = await site.refused()
    assert "is older than its mark store.db.mark" in line
    assert RESTORED in line
    moved = await site.command("migrate", "--moved")
    assert (moved.code, "is older" in moved.err) == (exit_codes.REFUSED, True)
    await site.done("migrate", "--restored")
    async with site.gateway() as gateway:
        assert name_of(await get(gateway, waiting)) == "UNCERTAIN"
    assert site.sandbox.ledger.charges == []


@pytest.mark.parametrize("place", ["before mark", "after mark"])
async def test_a_gateway_killed_around_the_write_of_its_mark_starts_again(site: Site, place: str) -> None:
    gateway = site.gateway(failpoint=place)
    with suppress(AssertionError):  # the first start of a store commits something
        await gateway.start()
    assert await gateway.ended() == -9
    assert commits(site.store) - content(site.store).commits == (1 if place == "before mark" else 0)
    async with site.gateway() as gateway:
        await site.done("keys", "create", "--tenant", "shop")
        assert "shop" in await site.done("keys", "list")
        assert await gateway.terminate() == 0
    assert commits(site.store) == content(site.store).commits
    known = mark.StoreState(content(site.store).epoch, commits(site.store))
    assert mark.find_doubt(site.store, known) is None
    behind = mark.find_doubt(site.store, known._replace(commits=known.commits - 1))
    assert behind is not None
    assert "is older than its mark" in behind.text


@pytest.mark.parametrize("place", ["before migration", "after migration"])
async def test_a_first_start_that_was_killed_is_not_taken_for_a_restore(site: Site, place: str) -> None:
    with pytest.raises(AssertionError, match="did not start"):
        await site.gateway(failpoint=place).start()
    async with site.gateway() as gateway:
        assert name_of(await submit(gateway, soul("a fox", wait_for=DONE))) == "COMPLETED"


def commits(store: Path) -> int:
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        return files.store_state(connection).commits


def content(store: Path) -> mark.MarkContent:
    found = mark.read(store)
    assert found is not None
    return found


def lost_mark(site: Site) -> Path:
    mark.path_of(site.store).unlink()
    return site.store


def broken_mark(site: Site) -> Path:
    mark.path_of(site.store).write_bytes(b"no mark")
    return site.store


def copied_alone(site: Site) -> Path:
    other = site.folder / "other.db"
    shutil.copy(site.store, other)
    return other


def copied_with_its_mark(site: Site) -> Path:
    folder = site.folder / "other machine"
    folder.mkdir()
    for file in (site.store, mark.path_of(site.store)):
        shutil.copy(file, folder)
    return folder / site.store.name


@pytest.mark.parametrize("happens", [lost_mark, broken_mark, copied_alone, copied_with_its_mark])
async def test_a_copied_store_or_a_lost_mark_needs_a_declaration(site: Site, happens: Callable[[Site], Path]) -> None:
    waiting = await stored_unsent(site, soul("a fox", wait_for=STORED))
    store = happens(site)
    line = await site.refused(store)
    assert RESTORED in line
    assert "hfgateway migrate --moved" in line
    doctor = await site.command("doctor", store=store)
    assert doctor.code == 1
    assert RESTORED in doctor.out
    assert "schema" in await site.done("migrate", "--moved", store=store)
    store_url = f"sqlite:///{store}"
    async with GatewayProcess(site.folder, site.sandbox.url, store_url=store_url) as gateway:
        ended = await submit(gateway, soul("a fox", wait_for=DONE))  # declared as the newest state, so it is sent
    assert (ended.id, name_of(ended)) == (waiting, "COMPLETED")


def test_files_that_were_removed_and_copied_back_are_recognised() -> None:
    """The file system may give them the inodes of the removed ones."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:  # that of the other tests may be in memory
        store = Path(folder, "store.db")
        files.prepare(store).close()
        with mark.path_of(store).open("rb") as opened:
            if not mark.generation(opened.fileno()):
                pytest.skip("the file system has no generations of files")
        assert files.examine(store).doubt is None
        for file in (store, mark.path_of(store)):
            content = file.read_bytes()
            file.unlink()
            file.write_bytes(content)
        doubt = files.examine(store).doubt
        assert doubt is not None
        assert doubt.may_be_newest


async def test_a_mark_with_another_store_or_an_empty_one_is_recognised(site: Site) -> None:
    async with site.gateway() as gateway:
        await submit(gateway, soul("a fox", wait_for=DONE))
        assert await gateway.terminate() == 0
    site.store.rename(site.folder / "kept.db")
    assert "is empty, but its mark store.db.mark has" in await site.refused()
    async with GatewayProcess(site.folder, site.sandbox.url, store_url=f"sqlite:///{site.folder / 'new.db'}") as other:
        assert await other.terminate() == 0
    (site.folder / "new.db").rename(site.store)
    assert "is not the store that its mark store.db.mark belongs to" in await site.refused()


@pytest.mark.parametrize("place", ["after new epoch", "before restored", "after restored"])
@pytest.mark.parametrize("marked", [True, False], ids=["same-folder", "new-folder"])
async def test_a_restore_declaration_that_was_killed_can_only_be_repeated(site: Site, place: str, marked: bool) -> None:
    waiting = await stored_unsent(site, soul("a fox", wait_for=STORED))
    await site.done("backup", str(site.folder / "backup.db"))
    site.restore(site.folder / "backup.db")
    if not marked:
        mark.path_of(site.store).unlink()
    killed = await site.command("migrate", "--restored", HFGATEWAY_FAILPOINT=place)
    assert killed.code == -9
    assert RESTORED in await site.refused()
    moved = await site.command("migrate", "--moved")
    assert (moved.code, RESTORED in moved.err) == (exit_codes.REFUSED, True)
    await site.done("migrate", "--restored")
    async with site.gateway() as gateway:
        assert name_of(await get(gateway, waiting)) == "UNCERTAIN"
    assert site.sandbox.ledger.submissions == [] or site.sandbox.ledger.charges == []


async def test_a_backup_is_private_complete_and_overwrites_nothing(site: Site) -> None:
    target = site.folder / "backup.db"
    async with site.gateway() as gateway:
        for name in ("a fox", "an owl"):
            await submit(gateway, soul(name, wait_for=DONE))
        umask = os.umask(0)
        try:
            await site.done("backup", str(target))
        finally:
            os.umask(umask)
        assert target.stat().st_mode & 0o777 == 0o600
        before = target.read_bytes()
        again = await site.command("backup", str(target))
        assert (again.code, "exists already" in again.err) == (exit_codes.REFUSED, True)
        assert target.read_bytes() == before
        nowhere = await site.command("backup", str(site.folder / "missing" / "backup.db"))
        assert (nowhere.code, nowhere.err.count("\n")) == (exit_codes.REFUSED, 1)
    assert sorted(file.name for file in site.folder.iterdir() if "backup" in file.name) == ["backup.db"]
    with closing(sqlite3.connect(target)) as copy:
        assert copy.execute("SELECT count(*) FROM generations WHERE done = 1").fetchone() == (2,)
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)


STOPS_ITSELF = """
import os, signal, sys
from gateway import __main__
from gateway.store.sqlite import files
examine = files.examine
def stop(path, *check):
    if path.suffix == ".part":
        os.kill(os.getpid(), signal.{name})
    return examine(path, *check)
files.examine = stop
sys.argv = sys.argv[2:]
__main__.main()
"""
"""Python that runs a command, and sends it a signal when the copy of a backup is written and not yet checked."""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
async def test_a_terminated_backup_leaves_no_file_under_its_name_and_can_be_repeated(site: Site, name: str) -> None:
    async with site.gateway() as gateway:
        await submit(gateway, soul("a fox", wait_for=DONE))
        assert await gateway.terminate() == 0
    target = site.folder / "backup.db"
    given = environment(site.folder, {"HFGATEWAY_STORE_URL": f"sqlite:///{site.store}"})
    ended = await run("backup", str(target), environment=given, launcher=STOPS_ITSELF.format(name=name))
    assert ended.code == (-9 if name == "SIGKILL" else 143), ended
    left = sorted(file.name for file in site.folder.iterdir() if "backup" in file.name)
    assert left == (["backup.db.part"] if name == "SIGKILL" else [])
    (site.folder / "backup.db.part-journal").write_bytes(b"left by an interrupted copy")
    await site.done("backup", str(target))
    assert sorted(file.name for file in site.folder.iterdir() if "backup" in file.name) == ["backup.db"]
    site.restore(target)
    assert "No generation is held" in await site.done("migrate", "--restored")


def test_two_backups_to_one_file_do_not_disturb_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, target = tmp_path / "store.db", tmp_path / "backup.db"
    files.prepare(store).close()
    examine, refused = files.examine, []

    def during_the_copy(path: Path, check: files.Check | None = "quick_check") -> files.Examined:
        if path == store:
            return examine(path, check)
        monkeypatch.setattr(files, "examine", examine)
        with pytest.raises(files.StoreFileError, match="another backup writes to it"):
            restore.backup(store, target)
        refused.append(path)
        return examine(path, check)

    monkeypatch.setattr(files, "examine", during_the_copy)
    restore.backup(store, target)
    assert refused == [tmp_path / "backup.db.part"]
    assert examine(target).schema


async def test_an_empty_file_is_not_declared_restored(site: Site) -> None:
    site.store.touch()
    refused = await site.command("migrate", "--restored")
    assert (refused.code, refused.out) == (exit_codes.REFUSED, "")
    assert refused.err.startswith(f"error: {site.store}: is empty; put a backup in its place")
    assert site.store.stat().st_size == 0


async def test_a_backup_to_a_folder_is_refused(site: Site) -> None:
    files.prepare(site.store).close()
    for folder in (".", "/"):
        refused = await site.command("backup", folder)
        assert (refused.code, refused.err) == (exit_codes.REFUSED, f"error: {folder}: is a folder; name a file\n")


async def test_the_last_change_of_a_restored_store_is_the_one_before_its_generations_were_held(site: Site) -> None:
    waiting = await stored_unsent(site, soul("a fox", wait_for=STORED))
    with closing(sqlite3.connect(site.store)) as connection:
        ((newest,),) = connection.execute("SELECT max(time) FROM changes")
    declared = await restore.declare_restored(site.store)
    assert ([one.id for one in declared.held], declared.newest) == ([waiting], newest)


async def test_a_repeated_declaration_lists_the_generations_that_are_still_held(site: Site) -> None:
    waiting = await stored_unsent(site, soul("a fox", wait_for=STORED))
    for state in ("PENDING", "UNCERTAIN"):
        _, _, count, held = (await site.done("migrate", "--restored")).splitlines()
        assert count == "1 generation is held: resolve each with hfgateway resolve ID"
        assert held == f"{waiting}\tdefault\thiggsfield-ai/soul/standard\t{state}"


async def test_the_declaration_of_a_store_without_generations_promises_nothing_about_them(site: Site) -> None:
    files.prepare(site.store).close()
    assert (await site.done("migrate", "--restored")).splitlines() == [
        f"{site.store}: no change is stored in it",
        "Submissions that are not in it are unknown to it: if a caller repeats one, it is sent, and charged, again.",
        "No generation is held",
    ]


async def test_a_backup_of_a_corrupt_store_names_the_store(site: Site) -> None:
    site.store.write_bytes(b"not a store " * 100)
    refused = await site.command("backup", str(site.folder / "backup.db"))
    assert (refused.code, refused.err) == (
        exit_codes.REFUSED, f"error: {site.store}: is corrupt, or not a SQLite file\n"
    )  # fmt: skip


async def test_a_backup_of_a_newer_store_names_the_store(site: Site) -> None:
    async with site.gateway():
        pass
    with closing(sqlite3.connect(site.store, isolation_level=None)) as connection:
        connection.execute("INSERT INTO migrations VALUES ('9999_pre_later.sql')")
    refused = await site.command("backup", str(site.folder / "backup.db"))
    assert (refused.code, refused.err) == (
        exit_codes.REFUSED,
        f"error: {site.store}: was written by a newer gateway: its migration 9999_pre_later.sql is not known here\n",
    )


async def test_a_store_is_not_migrated_while_a_gateway_runs_on_it(site: Site) -> None:
    async with site.gateway():
        for option in ((), ("--restored",), ("--moved",)):
            refused = await site.command("migrate", *option)
            assert (refused.code, refused.err) == (
                exit_codes.REFUSED, f"error: {site.store}: a gateway runs on it: stop it first\n"
            )  # fmt: skip


async def test_an_option_of_migrate_is_refused_with_its_subcommand(site: Site) -> None:
    for option in ("--restored", "--moved"):
        refused = await site.command("migrate", option, "sqlite-to-postgres", str(site.store))
        assert (refused.code, refused.out) == (exit_codes.USAGE, "")
        assert f"{option} cannot be used with sqlite-to-postgres" in refused.err


async def test_a_write_ahead_log_of_another_file_is_not_replayed(site: Site) -> None:
    async with site.gateway() as gateway:
        await site.done("backup", str(site.folder / "backup.db"))
        await submit(gateway, soul("a fox", wait_for=DONE))
        await gateway.kill()
    assert Path(f"{site.store}-wal").stat().st_size
    shutil.copy(site.folder / "backup.db", site.store)
    assert "store.db-wal is left from another file" in await site.refused()
    again = await site.command("backup", str(site.folder / "again.db"))
    assert (again.code, "store.db-wal is left from another file" in again.err) == (exit_codes.REFUSED, True)


@pytest.mark.parametrize("beside", [(), (".mark",)], ids=["alone", "with-mark"])
async def test_the_write_ahead_log_of_a_store_that_was_moved_without_it_is_kept(
    site: Site, beside: tuple[str, ...]
) -> None:
    """A supervisor may start a killed gateway again while an operator moves the files of its store one by one."""
    async with site.gateway() as gateway:
        ended = await submit(gateway, soul("a fox", wait_for=DONE))
        await gateway.kill()
    log = Path(f"{site.store}-wal")
    commits = log.read_bytes()
    assert commits
    moved = site.folder / "moved"
    moved.mkdir()
    for end in ("", *beside):
        Path(f"{site.store}{end}").rename(moved / f"store.db{end}")
    refusal = "store.db: is missing or empty, but store.db-wal has commits"
    assert refusal in (await site.command("doctor")).out
    assert refusal in await site.refused()
    assert refusal in (await site.command("doctor")).out
    assert (await site.command("backup", str(site.folder / "backup.db"))).code == exit_codes.REFUSED
    await site.command("audit", "verify", "--offline")
    assert log.read_bytes() == commits
    for end in ("", *beside):
        (moved / f"store.db{end}").rename(f"{site.store}{end}")
    async with site.gateway() as gateway:
        assert name_of(await get(gateway, ended.id)) == "COMPLETED"


@pytest.mark.parametrize("checkpointed", [False, True], ids=["empty", "older"])
async def test_a_store_that_was_moved_without_its_write_ahead_log_is_complete_with_it(
    site: Site, checkpointed: bool
) -> None:
    if checkpointed:
        async with site.gateway() as gateway:
            assert await gateway.terminate() == 0
    async with site.gateway() as gateway:
        ended = await submit(gateway, soul("a fox", wait_for=DONE))
        await gateway.kill()
    moved = site.folder / "moved"
    moved.mkdir()
    for end in ("", ".mark"):
        Path(f"{site.store}{end}").rename(moved / f"store.db{end}")
    store = moved / "store.db"
    assert "if store.db-wal was left elsewhere, put it back" in await site.refused(store)
    Path(f"{site.store}-wal").rename(moved / "store.db-wal")
    await site.done("migrate", "--moved", store=store)
    async with GatewayProcess(site.folder, site.sandbox.url, store_url=f"sqlite:///{store}") as gateway:
        assert name_of(await get(gateway, ended.id)) == "COMPLETED"


async def test_a_store_readable_by_others_is_made_private_with_a_warning(site: Site) -> None:
    async with site.gateway() as gateway:
        assert await gateway.terminate() == 0
    site.store.chmod(0o644)
    doctor = await site.command("doctor")
    assert f"warning  store        other users can access {site.store}: run: chmod 600" in doctor.out
    started = await site.command("serve")
    assert started.out.count("hfgateway: gRPC on ") == 1
    assert site.store.stat().st_mode & 0o777 == 0o600
    assert "other users could access the store" in started.err
