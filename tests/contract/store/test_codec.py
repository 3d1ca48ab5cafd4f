"""Property tests: a store returns every field of a generation as it was stored."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Failure, Reason, Violation
from gateway.generations.model import (
    Generation,
    GenerationId,
    IdempotencyKey,
    InputKind,
    Marker,
    MediaKind,
    Output,
    PreparedRequest,
    Source,
    Spec,
    State,
    Steady,
    Wall,
)
from gateway.generations.stores import Claim
from gateway.store import codec
from gateway.store.sqlite.store import SqliteStore

# Protobuf and the parser of Higgsfield's JSON reject lone surrogates, so none can reach a store.
texts = st.text(st.characters(codec="utf-8"), max_size=20)
seconds = st.floats(min_value=0, max_value=4e9, allow_nan=False)
counts = st.integers(min_value=0, max_value=2**31)
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(min_value=-(2**53), max_value=2**53)
anything = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
failures = st.builds(
    Failure,
    reason=st.sampled_from(Reason),
    message=texts,
    violations=st.lists(st.builds(Violation, texts, texts), max_size=3).map(tuple),
    retryable=st.booleans(),
    retry_after=st.none() | seconds,
    metadata=st.dictionaries(texts, texts, max_size=3),
    response=anything,
)
outputs = st.builds(Output, st.sampled_from(State), st.sampled_from(MediaKind), texts, texts, texts, texts, texts)
specs = st.builds(
    Spec,
    id=st.uuids().map(str),
    tenant=texts,
    model_id=texts,
    api=st.sampled_from(["v1", "v2"]),
    account=texts,
    origin=texts,
    input=st.binary(max_size=50),
    labels=st.dictionaries(texts, texts, max_size=3),
    idempotency_key=texts,
    create_time=seconds,
    created_at=seconds,
    weight=counts,
    token_hash=st.none() | st.binary(min_size=32, max_size=32),
    start_by=st.none() | seconds,
    fail_when_saturated=st.booleans(),
    traits=texts,
    traceparent=texts,
    adopted=st.booleans(),
    key_id=texts,
    price=st.none() | counts,
    estimated_credits=texts,
    estimated_usd=texts,
    callback_url=texts,
)
generations = st.builds(
    Generation,
    spec=specs,
    version=counts,
    revision=counts,
    state=st.sampled_from(State),
    outputs=st.lists(outputs, max_size=3).map(tuple),
    failure=st.none() | failures,
    delay=st.none() | failures,
    request_id=texts,
    correlation_id=texts,
    upstream_status=texts,
    source=st.sampled_from(Source),
    other_results=st.none() | st.dictionaries(texts, anything, max_size=3),
    used_input=st.none() | st.dictionaries(texts, anything, max_size=3),
    accept_time=st.none() | seconds,
    start_time=st.none() | seconds,
    end_time=st.none() | seconds,
    outputs_expire_time=st.none() | seconds,
    update_time=seconds,
    marker=st.none() | st.builds(Marker, texts, counts),
    send_by=st.none() | seconds,
    first_sent_at=st.none() | seconds,
    sent_at=st.none() | seconds,
    sends=counts,
    ambiguous=st.booleans(),
    not_before=seconds,
    repeats_over=st.booleans(),
    cancel_requested=st.booleans(),
    polls=st.integers(0, 2**31 - 1),
    missing_since=st.none() | seconds,
    stray_request_id=texts,
    ended_at=st.none() | seconds,
    held=st.booleans(),
    ran=st.none(),  # not stored
)
requests = st.builds(
    PreparedRequest,
    texts, texts, texts, texts, st.dictionaries(texts, texts, max_size=3), st.binary(max_size=50), texts,
    st.sampled_from(InputKind),
)  # fmt: skip
quick = settings(max_examples=60)


def test_the_strategies_cover_every_field() -> None:
    """A strategy that leaves a field out would test it with its default value only."""
    for kind, strategy in [(Spec, specs), (Generation, generations), (Failure, failures)]:
        named = set(strategy.wrapped_strategy.kwargs)  # type: ignore[attr-defined]
        assert named == {field.name for field in dataclasses.fields(kind)}


@quick
@given(generations)
def test_visible_fields_are_read_as_they_were_written(generation: Generation) -> None:
    fields = codec.shown_fields(codec.shown(generation))
    assert fields == {name: getattr(generation, name) for name in fields}


@quick
@given(generations, generations, counts)
def test_an_earlier_revision_is_read_as_callers_saw_it(now: Generation, then: Generation, revision: int) -> None:
    found = codec.at_revision(now, revision, codec.shown(then))
    assert found.spec == now.spec
    assert found.revision == revision
    assert codec.shown(found) == codec.shown(then)


def test_equal_times_are_in_memory_once() -> None:
    """A replica has many generations. Most were sent once, right after they were stored, and then accepted."""
    stored = Generation(
        Spec(GenerationId("id"), "", "", "v2", "", "", b"", {}, IdempotencyKey("key"), Wall(10.1), Steady(1.1)),
        accept_time=Wall(12.1),
        update_time=Wall(12.1),
        first_sent_at=Steady(1.1),
        sent_at=Steady(1.1),
    )
    row = codec.spec_row(stored.spec) | codec.progress_row(stored, codec.shown(stored))
    # A server returns each as a new object.
    row |= {name: value + 0.0 for name, value in row.items() if isinstance(value, float)}
    found = codec.generation_of(row)
    assert found == stored
    assert found.sent_at is found.first_sent_at is found.spec.created_at
    assert found.accept_time is found.update_time
    assert found.not_before is codec.generation_of(row | {"not_before": float("0")}).not_before


@quick
@given(requests)
def test_a_prepared_request_is_read_as_it_was_written(request: PreparedRequest) -> None:
    assert codec.request_of(codec.request_row(GenerationId("id"), request)) == request


def test_a_store_returns_what_was_stored(tmp_path: Path) -> None:
    """Test the columns of real tables, whose types are strict."""
    loop = asyncio.Runner()
    path = tmp_path / "store.db"
    with loop:
        store = loop.run(_opened(path))

        @settings(max_examples=30)
        @given(generations, requests)
        def comes_back(generation: Generation, request: PreparedRequest) -> None:
            token_hash = generation.spec.token_hash and uuid4().bytes
            spec = dataclasses.replace(
                generation.spec, id=str(uuid4()), idempotency_key=str(uuid4()), token_hash=token_hash
            )
            generation = dataclasses.replace(generation, spec=spec, request_id=generation.request_id and str(uuid4()))
            loop.run(store.claims.claim(Claim(generation, request, b"")))
            assert loop.run(store.generations.get(spec.tenant, spec.id)) == generation
            assert loop.run(store.generations.request(spec.id)) == request

        try:
            comes_back()
        finally:
            loop.run(store.close())


async def _opened(path: Path) -> SqliteStore:
    return SqliteStore(path, lambda error: None)
