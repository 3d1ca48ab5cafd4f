"""WatchModels: changes of Higgsfield's list as they are noticed, and those that a watch has missed."""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from unittest.mock import AsyncMock

import pytest
from google.rpc.error_details_pb2 import BadRequest

from gateway.catalog import watch
from gateway.catalog.model import StoredCatalog
from gateway.generations.stores import StoreError
from gateway.store.sqlite.store import SqliteCatalogs
from hfgateway.v1 import catalog_service_pb2 as pb
from tests.support.running import WAIT_TIMEOUT, Running, eventually
from tests.support.transports import RpcFailure, Transport

HOUR = 4000


def row(slug: str, **fields: Any) -> dict[str, Any]:
    return {"slug": slug, "output_type": "video", "input_schema": {"properties": fields}}


async def lists(running: Running, clock_offset: Any, *rows: dict[str, Any]) -> None:
    """Let the gateway fetch a list with these models."""
    running.plan(on="models", body={"items": list(rows)})
    calls = running.ledger.list_calls["models"]
    clock_offset.seconds += HOUR if calls else 0
    cached = running.gateway._core.catalogs._cached["models"]
    await running.grpc.call("ListModels", pb.ListModelsRequest(page_size=1))
    await eventually(lambda: cached._refreshing is None and running.ledger.list_calls["models"] != calls)


async def changes(client: Transport, number: int, after: int | None = None) -> list[pb.WatchModelsResponse]:
    """Return the first changes of a watch."""
    request = pb.WatchModelsRequest() if after is None else pb.WatchModelsRequest(after_revision=after)
    found: list[pb.WatchModelsResponse] = []
    async with asyncio.timeout(WAIT_TIMEOUT):
        async for message in client.stream("WatchModels", request):
            if message.HasField("model"):
                found.append(message)
            if len(found) == number:
                return found
    raise AssertionError("the watch ended early")


def shown(messages: list[pb.WatchModelsResponse]) -> list[tuple[int, str, str]]:
    return [
        (one.revision, pb.ModelChange.Name(one.change).removeprefix("MODEL_CHANGE_"), one.model.id) for one in messages
    ]


async def test_a_watch_returns_new_changed_and_gone_models(
    running: Running, clock_offset: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await lists(running, clock_offset, row("a/stays"), row("b/changes", x={"maximum": 1}), row("c/goes"))
    watched = asyncio.create_task(changes(running.grpc, 3, after=0))
    await lists(running, clock_offset, row("a/stays"), row("b/changes", x={"maximum": 2}), row("d/comes"))
    found = await watched
    assert shown(found) == [(1, "CHANGED", "b/changes"), (2, "NEW", "d/comes"), (3, "GONE", "c/goes")]
    assert list(found[0].details) == ["x: anything ..1 is now anything ..2"]
    assert all(one.time == found[0].time for one in found)
    assert not any(one.model.HasField("parameters_schema") for one in found)
    assert [one.model.lifecycle for one in found] == [1, 1, 3]
    (line,) = (one for one in caplog.records if one.getMessage() == "Higgsfield's list of models has changed")
    assert (line.new, line.changed, line.gone) == (["d/comes"], ["b/changes"], ["c/goes"])  # type: ignore[attr-defined]


async def test_a_change_shows_what_only_the_built_in_list_knows_of_a_model(running: Running, clock_offset: Any) -> None:
    await lists(running, clock_offset, row("a/a"))
    await lists(running, clock_offset, row("a/a"), {"slug": "sora-2/text-to-video"})

    (new,) = await changes(running.grpc, 1, after=0)

    listed = [one async for one in _all(running) if one.id == "sora-2/text-to-video"]
    assert (new.model, new.model.tasks) == (listed[0], ["text-to-video"])


async def test_a_watch_without_a_revision_starts_with_the_next_change(running: Running, clock_offset: Any) -> None:
    await lists(running, clock_offset, row("a/a"))
    await lists(running, clock_offset, row("a/a"), row("b/b"))
    messages = running.grpc.stream("WatchModels", pb.WatchModelsRequest())
    first = await asyncio.wait_for(anext(messages), WAIT_TIMEOUT)
    assert (first.revision, first.HasField("model")) == (1, False)
    await lists(running, clock_offset, row("a/a"), row("b/b"), row("c/c"))
    assert shown([await asyncio.wait_for(anext(messages), WAIT_TIMEOUT)]) == [(2, "NEW", "c/c")]
    await messages.aclose()


async def test_a_watch_resumes_after_a_restart_and_over_every_transport(running: Running, clock_offset: Any) -> None:
    await lists(running, clock_offset, row("a/a"))
    await lists(running, clock_offset, row("a/a"), row("b/b"))
    await lists(running, clock_offset, row("b/b"), row("c/c"))
    await running.stop_gateway()
    await running.start_gateway()
    for client in running.transports.values():
        assert shown(await changes(client, 3, after=0)) == [(1, "NEW", "b/b"), (2, "NEW", "c/c"), (3, "GONE", "a/a")]
        assert shown(await changes(client, 1, after=2)) == [(3, "GONE", "a/a")]
        # A revision of another store.
        assert len(await changes(client, 3, after=99)) == 3


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> list[StoreError]:
    """The errors of the next reads of the stored list."""
    load, failures = SqliteCatalogs.load_catalog, list[StoreError]()

    async def load_late(self: SqliteCatalogs, account: str, origin: str, name: str) -> StoredCatalog | None:
        if name == "models" and failures:
            raise failures.pop()
        return await load(self, account, origin, name)

    monkeypatch.setattr(SqliteCatalogs, "load_catalog", load_late)
    return failures


async def restart(running: Running, unread: list[StoreError], failures: int) -> None:
    """Start the gateway again. So many of its reads of the stored list fail."""
    await running.stop_gateway()
    unread += [StoreError("the store cannot be read")] * failures
    await running.start_gateway()


async def test_a_store_that_cannot_be_read_for_a_moment_loses_no_change(
    running: Running, clock_offset: Any, unread: list[StoreError]
) -> None:
    await lists(running, clock_offset, row("a/a"))
    await lists(running, clock_offset, row("a/a"), row("b/b"))
    await restart(running, unread, 2)
    await lists(running, clock_offset, row("b/b"), row("c/c"))
    assert not unread
    await lists(running, clock_offset, row("b/b"), row("c/c"))
    assert shown(await changes(running.grpc, 2, after=1)) == [(2, "NEW", "c/c"), (3, "GONE", "a/a")]


async def test_a_list_that_was_fetched_before_the_store_can_be_read_again_stays(
    running: Running, clock_offset: Any, unread: list[StoreError]
) -> None:
    await lists(running, clock_offset, row("a/a"))
    await restart(running, unread, 2)
    await lists(running, clock_offset, row("a/a"), row("c/c"))
    assert not unread
    calls = running.ledger.list_calls["models"]
    for _ in range(2):
        listed = await running.grpc.call("ListModels", pb.ListModelsRequest(page_size=500))
        assert {"a/a", "c/c"} <= {model.id for model in listed.models}
    assert shown(await changes(running.grpc, 1, after=0)) == [(1, "NEW", "c/c")]
    assert running.ledger.list_calls["models"] == calls


async def test_a_model_that_was_listed_only_while_the_store_could_not_be_read_is_not_listed(
    running: Running, clock_offset: Any, unread: list[StoreError]
) -> None:
    await lists(running, clock_offset, row("a/a"))
    await restart(running, unread, 4)
    await lists(running, clock_offset, row("a/a"), row("c/c"))
    await lists(running, clock_offset, row("a/a"))
    assert not unread
    listed = await running.grpc.call("ListModels", pb.ListModelsRequest(page_size=500))
    assert "c/c" not in {model.id for model in listed.models}


async def test_a_change_that_was_found_before_the_store_could_be_read_keeps_its_revision(
    running: Running, clock_offset: Any, unread: list[StoreError]
) -> None:
    await lists(running, clock_offset, row("a/a"))
    await restart(running, unread, 2)
    await lists(running, clock_offset, row("a/a"), row("c/c"))
    assert shown(await changes(running.grpc, 1, after=0)) == [(1, "NEW", "c/c")]
    await running.stop_gateway()
    await running.start_gateway()
    await lists(running, clock_offset, row("a/a"), row("b/b"), row("c/c"))
    assert shown(await changes(running.grpc, 1, after=1)) == [(2, "NEW", "b/b")]


async def test_a_watch_that_begins_before_the_store_can_be_read_repeats_no_change(
    running: Running, clock_offset: Any, unread: list[StoreError]
) -> None:
    await lists(running, clock_offset, row("a/a"))
    await lists(running, clock_offset, row("a/a"), row("b/b"))
    await restart(running, unread, 3)
    await lists(running, clock_offset, row("a/a"), row("b/b"))
    messages = running.grpc.stream("WatchModels", pb.WatchModelsRequest(after_revision=1))
    first = await asyncio.wait_for(anext(messages), WAIT_TIMEOUT)
    assert not unread
    assert (first.revision, first.HasField("model")) == (1, False)  # with which the client would watch again
    await lists(running, clock_offset, row("a/a"), row("b/b"), row("c/c"))
    async with asyncio.timeout(WAIT_TIMEOUT):
        while not (message := await anext(messages)).HasField("model"):
            assert message.revision == 1
    assert shown([message]) == [(2, "NEW", "c/c")]
    await messages.aclose()


async def test_a_stored_list_that_two_calls_need_at_once_is_loaded_once(
    running: Running, clock_offset: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lists(running, clock_offset, row("a/a"), row("b/b"))
    await lists(running, clock_offset, row("a/a"))
    await running.stop_gateway()
    load, released = SqliteCatalogs.load_catalog, asyncio.Event()

    async def load_late(self: SqliteCatalogs, account: str, origin: str, name: str) -> StoredCatalog | None:
        await released.wait()
        return await load(self, account, origin, name)

    monkeypatch.setattr(SqliteCatalogs, "load_catalog", load_late)
    await running.start_gateway()
    calls = [asyncio.create_task(running.grpc.call("ListModels", pb.ListModelsRequest())) for _ in range(2)]
    await running.calls_open("ListModels", 2, "CatalogService")
    released.set()
    await asyncio.gather(*calls)
    assert shown(await changes(running.grpc, 1, after=0)) == [(1, "GONE", "b/b")]


async def test_a_change_that_could_not_be_stored_is_shown_once_it_is(
    running: Running, clock_offset: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lists(running, clock_offset, row("b/b"))
    with monkeypatch.context() as patch:
        patch.setattr(SqliteCatalogs, "save_catalog", AsyncMock(side_effect=StoreError("the store refuses writes")))
        await lists(running, clock_offset, row("b/b"), row("c/c"))
    messages = running.grpc.stream("WatchModels", pb.WatchModelsRequest())
    seen = (await asyncio.wait_for(anext(messages), WAIT_TIMEOUT)).revision
    await messages.aclose()
    assert seen == 0, "the next process would give the revision to another change"
    await running.stop_gateway()
    await running.start_gateway()
    await lists(running, clock_offset, row("a/a"), row("b/b"), row("c/c"))
    assert shown(await changes(running.grpc, 2, after=seen)) == [(1, "NEW", "a/a"), (2, "NEW", "c/c")]


async def test_an_idle_watch_sends_heartbeats_and_ends_with_the_drain(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "HEARTBEAT", 0.01)
    seen: list[pb.WatchModelsResponse] = []

    async def follow() -> None:
        async for message in running.grpc.stream("WatchModels", pb.WatchModelsRequest()):
            seen.append(message)
            if len(seen) == 3:
                await running.begin_drain()

    with pytest.raises(RpcFailure) as ended:
        await asyncio.wait_for(follow(), WAIT_TIMEOUT)
    assert (ended.value.code, ended.value.reason) == ("UNAVAILABLE", "GATEWAY_UNAVAILABLE")
    assert not any(message.HasField("model") for message in seen)


async def test_a_negative_revision_is_refused(running: Running) -> None:
    with pytest.raises(RpcFailure) as refused:
        await changes(running.grpc, 1, after=-1)
    (violation,) = refused.value.detail(BadRequest).field_violations
    assert (refused.value.reason, violation.field) == ("INVALID_INPUT", "after_revision")


# -- Provenance --------------------------------------------------------------------------------------------------------


async def test_each_model_has_its_source_and_when_it_was_seen(running: Running, clock_offset: Any) -> None:
    listed = [row("a/live"), row("b/goes"), row("sora-2/text-to-video")]
    await lists(running, clock_offset, *listed)
    await lists(running, clock_offset, listed[0], listed[2])
    models = {}
    async for one in _all(running, include_gone=True):
        models[one.id] = one

    def facts(name: str) -> tuple[str, str, str, bool]:
        one = models[name]
        seen = one.provenance.HasField("last_seen_time")
        origin = pb.ModelOrigin.Name(one.provenance.origin).removeprefix("MODEL_ORIGIN_")
        lifecycle = pb.ModelLifecycle.Name(one.lifecycle).removeprefix("MODEL_LIFECYCLE_")
        return origin, one.provenance.source_date, lifecycle, seen

    assert facts("a/live") == ("LIVE", "", "ACTIVE", True)
    assert facts("b/goes") == ("LIVE", "", "GONE", True)
    assert facts("sora-2/text-to-video") == ("LIVE", "2026-08", "DEPRECATED", True)
    assert facts("sora-2/image-to-video") == ("BUILT_IN", "2026-08", "GONE", False)
    assert facts("higgsfield-ai/soul/cinema") == ("BUILT_IN", "2026-10-02", "ACTIVE", False)
    assert facts("higgsfield-ai/dop/turbo/first-last-frame") == ("COMMUNITY", "2026-11-21", "ACTIVE", False)
    seen = {name: models[name].provenance.last_seen_time.seconds for name in ("a/live", "b/goes")}
    assert seen["a/live"] - seen["b/goes"] >= HOUR
    assert models["sora-2/text-to-video"].end_time.ToJsonString() == "2026-09-24T00:00:00Z"
    assert "2026-09-24" in models["sora-2/text-to-video"].note
    present = {one.id async for one in _all(running)}
    gone = {name for name in models if facts(name)[2] == "GONE"}
    assert (present, len(gone) > 5) == (models.keys() - gone, True)
    one = await running.grpc.call("GetModel", pb.GetModelRequest(id="b/goes"))
    assert one.fetch_time == models["b/goes"].provenance.last_seen_time


async def test_an_empty_list_removes_no_models(running: Running, clock_offset: Any) -> None:
    await lists(running, clock_offset, row("a/a"))
    await lists(running, clock_offset)
    assert [one.lifecycle async for one in _all(running) if one.id == "a/a"] == [1]


async def _all(running: Running, **fields: Any) -> Any:
    request = pb.ListModelsRequest(page_size=1000, **fields)
    for one in (await running.grpc.call("ListModels", request)).models:
        yield one
