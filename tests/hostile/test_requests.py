"""Requests that are cheap to send are refused before they are read, decompressed or decoded."""

from __future__ import annotations

import gzip
import json
import struct
import sys
import zlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from gateway.rpc.limits.requests import (
    MAX_DEPTH,
    MAX_REQUEST_BYTES,
    MAX_VALUES,
    BadRequestError,
    json_object,
    message_of,
)
from gateway.rpc.transports import over_connect
from hfgateway.v1 import generation_service_pb2 as pb
from tests.hostile.conftest import bad_requests, connected, read_response_head
from tests.support.running import Running, model, soul
from tests.support.transports import TRANSPORTS, RpcFailure, Transport

SERVICE = "/hfgateway.v1.GenerationService"
UNARY, STREAM = f"{SERVICE}/SubmitGeneration", f"{SERVICE}/WatchGenerations"
CALLS = {
    "Connect, unary, JSON": (UNARY, "application/json"),
    "Connect, unary, binary": (UNARY, "application/proto"),
    "Connect, stream, JSON": (STREAM, "application/connect+json"),
    "Connect, stream, binary": (STREAM, "application/connect+proto"),
    "gRPC-Web, unary": (UNARY, "application/grpc-web+proto"),
    "gRPC-Web, stream": (STREAM, "application/grpc-web+proto"),
    "Connect, client stream": ("/hfgateway.v1.UploadService/UploadMedia", "application/connect+json"),
}


@pytest.mark.parametrize(("path", "content_type"), CALLS.values(), ids=CALLS)
async def test_a_caller_without_a_key_is_refused_before_its_body_is_read(
    running: Running, path: str, content_type: str
) -> None:
    async with connected(running.gateway.http_address) as (reader, writer):
        head = (
            f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {content_type}\r\ncontent-length: 4096\r\n\r\n"
        )
        writer.write(head.encode())  # and nothing of the body
        answer = await read_response_head(reader)
        unary = content_type in {"application/json", "application/proto"}
        assert answer.startswith(b"HTTP/1.1 401 " if unary else b"HTTP/1.1 200 ")
    assert await bad_requests(running, "credentials") == 1


def bomb(count: int) -> bytes:
    """Return JSON with `count` values."""
    return b'{"input":{"model":{"modelId":"m","parameters":{"a":[' + b"1," * (count - 1) + b"1]}}}}"


def listed(item: str, count: int) -> str:
    return f'{{"a":[{",".join([item] * count)}]}}'


@pytest.mark.parametrize(
    ("most", "content"),
    [
        (MAX_VALUES - 1, lambda count: listed("1", count)),
        ((MAX_VALUES - 1) // 2, lambda count: listed("[]", count)),
        ((MAX_VALUES - 1) // 2, lambda count: listed("{}", count)),
        (MAX_DEPTH, lambda depth: '{"b":1,"a":' * depth + "1" + "}" * depth),
    ],
    ids=["items", "lists", "objects", "levels"],
)
def test_the_limits_of_json_are_inclusive(most: int, content: Callable[[int], str]) -> None:
    assert json_object(content(most).encode())
    with pytest.raises(BadRequestError):
        json_object(content(most + 1).encode())


def test_a_message_of_512_kib_is_decoded() -> None:
    message = pb.GetGenerationRequest(id="x" * (MAX_REQUEST_BYTES - 4))
    data = message.SerializeToString()
    assert len(data) == MAX_REQUEST_BYTES
    assert message_of(data, pb.GetGenerationRequest) == message
    with pytest.raises(BadRequestError):
        message_of(pb.GetGenerationRequest(id=f"{message.id}x").SerializeToString(), pb.GetGenerationRequest)


def test_a_field_that_is_given_twice_is_found_in_one_pass() -> None:
    """To count each of the names among all takes 0.3 s of processor time, for a request of 340 KB."""
    names = [f"name {number}" for number in range(MAX_VALUES - 10)]
    body = "{" + ",".join(f'"{name}":1' for name in [*names, names[-1]]) + "}"
    passes = 0

    def count(_frame: object, event: str, function: Any) -> None:
        nonlocal passes
        passes += event == "c_call" and function.__name__ == "count" and isinstance(function.__self__, list)

    sys.setprofile(count)
    try:
        with pytest.raises(BadRequestError, match="is given twice"):
            json_object(body.encode())
    finally:
        sys.setprofile(None)
    assert passes == 0


def enveloped(content: bytes, flags: int = 1) -> bytes:
    return struct.pack(">BI", flags, len(content)) + content


async def answer_of(running: Running, path: str, body: bytes, **headers: str) -> tuple[int, str]:
    """Call with a valid key; return the status and text of the response."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named["authorization"] = f"Bearer {await running.key('one')}"
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.post(running.gateway.http_address + path, data=body, headers=named) as response,
    ):
        return response.status, (await response.read()).decode("latin-1")


async def test_a_decompression_bomb_is_not_unpacked(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked: list[int] = []

    class Recorded:
        def __init__(self, wbits: int) -> None:
            self._inflating = zlib.decompressobj(wbits=wbits)

        def decompress(self, data: bytes, most: int = 0) -> bytes:
            found = self._inflating.decompress(data, most)
            unpacked.append(len(found))
            return found

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inflating, name)

    monkeypatch.setattr(over_connect, "zlib", SimpleNamespace(decompressobj=Recorded, error=zlib.error))
    packed = gzip.compress(bomb(2_000_000))
    assert len(packed) < 8192
    status, text = await answer_of(running, UNARY, packed, content_type="application/json", content_encoding="gzip")
    assert (status, json.loads(text)["code"]) == (400, "invalid_argument")
    assert "larger than 512 KiB" in json.loads(text)["message"]
    _, text = await answer_of(
        running, STREAM, enveloped(packed), content_type="application/connect+json", connect_content_encoding="gzip"
    )
    assert "invalid_argument" in text
    assert "larger than 512 KiB" in text
    assert unpacked == [MAX_REQUEST_BYTES + 1] * 2
    assert await bad_requests(running, "size") == 2


@pytest.mark.parametrize(
    ("chunk", "taken"),
    {
        "YWJj+/8=": True,
        "YWJj-_8": True,
        "YWJj\\r\\nZGVm\\nZw==\\n": True,  # as the command base64 prints it
        "data:image/png;base64,YWJj": False,
        "YWJj=ZGVm": False,
        "YWJj@@@@": False,
    }.items(),
)
async def test_media_with_letters_that_base64_does_not_have_are_refused(
    running: Running, chunk: str, taken: bool
) -> None:
    """Protobuf's parser would leave them out, or take another image for the media."""
    parts = ['{"header": {"contentType": "image/png"}}', f'{{"chunk": "{chunk}"}}']
    body = b"".join(enveloped(part.encode(), flags=0) for part in parts)
    path, content_type = CALLS["Connect, client stream"]
    status, text = await answer_of(running, path, body, content_type=content_type)
    assert status == 200
    assert ("/storage/" in text) == taken
    assert ("chunk: is not base64" in text) == (not taken)


async def test_a_gzip_body_of_many_members_is_refused(running: Running) -> None:
    """Each gzip member decompresses to nothing, and the rest of the body is copied for each member."""
    packed = gzip.compress(b"") * 10_000
    status, text = await answer_of(running, UNARY, packed, content_type="application/json", content_encoding="gzip")
    assert (status, json.loads(text)["code"]) == (400, "invalid_argument")
    assert await bad_requests(running, "encoding") == 1


async def test_a_request_in_several_gzip_members_is_not_cut_off(running: Running) -> None:
    packed = gzip.compress(soul("a fox").SerializeToString())
    more = gzip.compress(pb.SubmitGenerationRequest(labels={"team": "red"}).SerializeToString())
    status, text = await answer_of(
        running, UNARY, packed + more, content_type="application/proto", content_encoding="gzip"
    )
    assert (status, json.loads(text)["code"]) == (400, "invalid_argument")
    assert running.ledger.submissions == []


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_json_of_many_values_is_not_decoded(running: Running, encoding: str) -> None:
    content = bomb(MAX_VALUES + 1)
    body = gzip.compress(content) if encoding == "gzip" else content
    status, text = await answer_of(running, UNARY, body, content_type="application/json", content_encoding=encoding)
    error = json.loads(text)
    assert (status, error["code"]) == (400, "invalid_argument")
    assert f"more than {MAX_VALUES} values" in error["message"]
    assert {detail["type"] for detail in error["details"]} >= {"google.rpc.BadRequest", "hfgateway.v1.Failure"}
    assert await bad_requests(running, "values") == 1


async def test_deeply_nested_json_is_not_decoded(running: Running) -> None:
    deep = MAX_DEPTH + 1
    for body in (b'{"unknown":' + b"[" * deep + b"]" * deep + b"}", b'{"a":' * deep + b"1" + b"}" * deep, b"[" * 4_000):
        status, text = await answer_of(running, UNARY, body, content_type="application/json")
        assert (status, json.loads(text)["code"]) == (400, "invalid_argument")
        assert f"deeper than {MAX_DEPTH}" in json.loads(text)["message"]
    assert await bad_requests(running, "values") == 3


async def test_a_number_that_no_double_can_hold_is_refused_as_other_wrong_json(running: Running) -> None:
    body = b'{"input":{"model":{"modelId":"m","parameters":{"seed":1' + b"0" * 400 + b"}}}}"
    status, text = await answer_of(running, UNARY, body, content_type="application/json")
    assert (status, json.loads(text)["code"]) == (400, "invalid_argument")
    assert "the JSON is not a hfgateway.v1.SubmitGenerationRequest: int too large" in json.loads(text)["message"]


async def test_a_string_may_contain_json_delimiters(running: Running) -> None:
    prompt = '[{,:"\\' * 10_000
    client = running.caller("connect-json", await running.key("one"))
    answer = await client.call("SubmitGeneration", soul(prompt, "key", wait_for=pb.WAIT_FOR_STORED))
    assert answer.generation.id


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_message_over_512_kib_is_refused(running: Running, transport: str) -> None:
    client = running.caller(transport, await running.key("one"))
    with pytest.raises(RpcFailure) as refused:
        await client.call("SubmitGeneration", soul("x" * MAX_REQUEST_BYTES, "key"))
    assert (refused.value.reason, refused.value.fields) == ("INVALID_INPUT", ["request"])
    assert await bad_requests(running, "size") == 1


@pytest.mark.parametrize(
    "many",
    [
        {"list": [True] * (MAX_VALUES + 1)},
        {"list": [{"inside": [True] * MAX_VALUES}]},
        {"inside": {str(number): True for number in range(MAX_VALUES)}},
    ],
    ids=["a list", "a list in a struct", "a struct"],
)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_parameters_of_many_values_are_refused(running: Running, transport: str, many: dict[str, Any]) -> None:
    client: Transport = running.caller(transport, await running.key("one"))
    with pytest.raises(RpcFailure) as refused:
        await client.call("SubmitGeneration", model("m", many, "key"))
    assert refused.value.reason == "INVALID_INPUT"
    assert await bad_requests(running, "values") == 1
