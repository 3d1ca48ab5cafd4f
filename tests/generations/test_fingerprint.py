"""Fingerprints, by which a key recognises its input, stay the same across versions of the gateway."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import make_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from gateway.generations import inputs
from gateway.generations.inputs import DopInput, Input, ModelInput, Motion, SoulInput, SpeakInput, fingerprint
from hfgateway.v1 import generation_service_pb2 as pb
from tests.support.running import Running, run, soul
from tests.support.transports import RpcFailure

IMAGE, AUDIO = "https://e.example/a.png", "https://e.example/a.wav"
STORED_BY_0_1: list[tuple[Input, str]] = [
    (SoulInput("a fox"), "0129d2fb2fcc91c0830f75329071f1e89116e8c52dbb3c358e7b84fd4e36b75c22"),
    (
        DopInput("a fox", image_urls=(IMAGE,), motions=(Motion("m"),)),
        "01c2d7f95d334e0ac2eada0099ffffd5f79c52815a5526e2262dd455c5ab3ab513",
    ),
    (SpeakInput(IMAGE, AUDIO, "hi"), "01221ba6afe57f6c3fd5dd3834eea288377b18515929327f46785eab7f1ac5a0e9"),
    (ModelInput("a/b", {"x": 1.0}), "01154bfb5e37998198d06b284c7e954d33b04fc72d0ac07631c44f6bb9b9700b76"),
]
"""Fingerprints as the first version stored them."""


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with run(tmp_path) as running:
        yield running


@pytest.mark.parametrize(("given", "stored"), STORED_BY_0_1, ids=lambda value: type(value).__name__)
def test_fingerprints_of_the_first_version_still_match(given: Input, stored: str) -> None:
    """If a new field breaks this test, declare the field with `added()`."""
    assert inputs.is_same(bytes.fromhex(stored), given, None)
    assert inputs.is_same(fingerprint(given, None), given, None)
    assert not inputs.is_same(bytes.fromhex(stored), given, 60.0)


@pytest.mark.parametrize("given", [given for given, _ in STORED_BY_0_1[:3]], ids=lambda value: type(value).__name__)
def test_a_new_field_that_is_absent_changes_no_fingerprint(given: Any) -> None:
    added = inputs.added
    new = [("tempo", str, added("")), ("echo", bool, added(False)), ("layers", tuple, added(()))]
    kind = make_dataclass(type(given).__name__, new, bases=(type(given),))
    known = {name: getattr(given, name) for name in given.__dataclass_fields__}
    later = kind(**known)
    for stored in (fingerprint(given, None), inputs.first_fingerprint(given, None)):
        assert inputs.is_same(stored, later, None)
        assert not inputs.is_same(stored, kind(**known, tempo="fast"), None)


def test_different_inputs_have_different_fingerprints() -> None:
    fox = SoulInput("a fox")
    different: list[Input] = [
        fox,
        replace(fox, prompt="an owl"),
        replace(fox, style_strength=0.0),
        replace(fox, enhance_prompt=False),
        replace(fox, seed=1),
        replace(fox, batch_size=4),
        SoulInput("a fox", version=inputs.SoulVersion.V2),
    ]
    different += [ModelInput("a/b", {}), ModelInput("a/b", {}, "v1"), ModelInput("a/b", {"x": None}, "v1")]
    assert len({fingerprint(one, None) for one in different}) == len(different)
    assert fingerprint(fox, 60.0) != fingerprint(fox, None)


async def test_a_retry_across_an_upgrade_finds_its_generation(running: Running) -> None:
    first = await running.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED))
    await running.stop_gateway()
    with closing(sqlite3.connect(running.store_path)) as store, store:
        store.execute("UPDATE keys SET fingerprint = ?", (bytes.fromhex(STORED_BY_0_1[0][1]),))
    await running.start_gateway()
    again = await running.grpc.call("SubmitGeneration", soul("a fox", wait_for=pb.WAIT_FOR_STORED))
    assert (again.replayed, again.generation.id) == (True, first.id)
    with pytest.raises(RpcFailure) as raised:
        await running.submit(soul("an owl", key="key-of-a-fox", wait_for=pb.WAIT_FOR_STORED))
    assert raised.value.reason == "IDEMPOTENCY_KEY_REUSED"
    assert len(running.ledger.charges) == 1
