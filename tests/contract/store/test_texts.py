"""No text in any field of a request is an internal error, whatever the store: PostgreSQL refuses NUL in texts."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import grpc.aio
import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message

from gateway.rpc.messages import page_tokens, pages
from gateway.rpc.services import ADMIN_SERVICE, PUBLIC_SERVICES
from hfgateway.agents.v1alpha1 import agent_service_pb2 as agents
from hfgateway.v1 import callback_service_pb2 as callbacks
from tests.contract.store.conftest import ENGINES
from tests.support.running import WAIT_TIMEOUT, Running, run, soul
from tests.support.transports import GrpcTransport

ACCOUNTS_KEY = "c2VjcmV0IGtleSBvZiB0aGUgdGVzdHMgMDEyMzQ1Njc="
CALLBACK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLjSw"
TEXTS = ("\0", "a\0b", "x" * 20_000, "\uffff\u202e", "\U0001f600" * 300, " ")
INTERNAL = {"INTERNAL", "UNKNOWN", "UNAVAILABLE", "DEADLINE_EXCEEDED"}
"""The codes of errors that are not the caller's. Without the store's response, a call is UNAVAILABLE."""
SURROGATE = "a surrogate"
"""Stands for half a surrogate, which only JSON can have."""
PLACES = ('["\\u0000","a"]', '["a","\\u0000"]', '["\\ud800","a"]', "[NaN]", '["a",1]', "9" * 400, "1e400 x")
"""Places in lists that no page token of the gateway has. A caller can make such a token, because it is not signed."""
METHODS = [
    method for service in (*PUBLIC_SERVICES, ADMIN_SERVICE) for method in service.methods if not method.client_streaming
]
PICTURE = {"soul": {"prompt": "a fox", "version": 1}}
ACCOUNT = {"name": "films", "credentials": "films:films-secret-1"}
CHARACTER = {"name": "Anna", "image_urls": ["https://example.invalid/a.jpg"], "version": 1, "idempotency_key": "anna"}
REQUESTS: dict[str, dict[str, Any]] = {
    "SubmitGeneration": {"input": PICTURE, "idempotency_key": "one"},
    "AdoptGeneration": {"upstream_request_id": "0199aaaa-0000-4000-8000-000000000000", "api_version": 2},
    "EstimateGeneration": {"input": PICTURE},
    "CreateWatchToken": {"filter": {"ids": ["{generation}"]}},
    "CreateUpload": {"content_type": "image/png"},
    "CreateCallback": {"url": "http://127.0.0.1:9/", "idempotency_key": "one"},
    "UpdateCallback": {"id": "{callback}", "paused": True},
    "ListDeliveries": {"callback_id": "{callback}"},
    "ListPresets": {"model_id": "higgsfield-ai/soul/standard"},
    "CreateCharacter": CHARACTER,
    "CreateSession": {"idempotency_key": "session"},
    "SendMessage": {"session_id": "{session}", "text": "a fox", "idempotency_key": "message"},
    "ListMessages": {"session_id": "{session}"},
    "WatchSession": {"id": "{session}", "until_idle": True},
    "CreateMedia": {"extension": "png", "kind": 1},
    "ConfirmMedia": {"id": "{media}", "kind": 1},
    "ResolveGeneration": {"id": "{generation}", "lost": {}},
    "ResolveCharacter": {"tenant": "red", "idempotency_key": "anna", "not_taken": {}},
    "ResolveMessage": {"tenant": "red", "idempotency_key": "message", "not_taken": {}},
    "CreateApiKey": {"tenant": "red", "name": "one"},
    "SetLimits": {"tenant": "red", "subject": "tenant", "limits": {"in_flight": 99}, "update_mask": "inFlight"},
    "AddAccount": ACCOUNT,
    "RotateAccount": ACCOUNT,
    "RemoveAccount": {"name": "films"},
    "AssignAccounts": {"tenant": "shop", "accounts": [{"name": "films", "weight": 1}]},
    "QueryUsage": {"group_by": ["label:team"]},
}
"""Valid requests, as JSON, of the methods that need more than the field with the text to use it."""

Put = Callable[[Any, str], object]


def texts(described: Descriptor) -> Iterator[tuple[str, Put]]:
    """Yield the name of each field with a text, and a function that sets the text in a message of this type."""
    for field in described.fields:
        kind, name = field.message_type, field.name
        if field.type == FieldDescriptor.TYPE_STRING:
            if field.is_repeated:
                yield name, lambda message, text, name=name: getattr(message, name).append(text)
            else:
                yield name, lambda message, text, name=name: setattr(message, name, text)
        elif kind is None or kind.name in {"Timestamp", "Duration"}:
            continue
        elif kind.name == "Struct" or kind.GetOptions().map_entry:
            yield f"{name}.key", lambda message, text, name=name: getattr(message, name).update({text: "a"})
            yield f"{name}.value", lambda message, text, name=name: getattr(message, name).update({"a": text})
        else:
            for inner, put in texts(kind):

                def put_inside(message: Any, text: str, field: FieldDescriptor = field, put: Put = put) -> None:
                    value = getattr(message, field.name)
                    put((value[0] if value else value.add()) if field.is_repeated else value, text)

                yield f"{name}.{inner}", put_inside


@pytest.fixture(params=ENGINES)
async def running(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Running]:
    url = f"sqlite:///{tmp_path}/store.db" if request.param == "sqlite" else request.getfixturevalue("emptied")
    settings = {"AUTH": "keys", "AUDIT": "on", "ACCOUNTS_KEY": ACCOUNTS_KEY, "CALLBACK_SECRET": CALLBACK_SECRET}
    credentials = "sandbox:sandbox films:films-secret-1"
    async with run(tmp_path, STORE_URL=url, credentials=credentials, **settings) as running:
        yield running


class Caller:
    """Calls every method, as the tenant red and as the operator, with the ids of what exists."""

    def __init__(self, running: Running, secret: str, admin: grpc.aio.Channel, http: aiohttp.ClientSession) -> None:
        self._running = running
        self._headers = {"authorization": f"Bearer {secret}"}
        self._client = GrpcTransport(running.gateway.grpc_address, self._headers["authorization"])
        self._admin = admin
        self._http = http
        self._ids: dict[str, str] = {}

    async def create(self) -> None:
        """Create one thing of each kind."""
        call = self._client.call
        media = agents.CreateMediaRequest(extension="png", kind=agents.AGENT_MEDIA_KIND_IMAGE)
        callback = callbacks.CreateCallbackRequest(url="http://127.0.0.1:9/", idempotency_key="s")
        self._ids = {
            "{generation}": (await call("SubmitGeneration", soul("a fox"))).generation.id,
            "{session}": (await call("CreateSession", agents.CreateSessionRequest(idempotency_key="s"))).session.id,
            "{media}": (await call("CreateMedia", media)).id,
            "{callback}": (await call("CreateCallback", callback)).callback.id,
        }

    async def close(self) -> None:
        await self._client.close()

    def request(self, method: MethodDescriptor) -> Any:
        """Return the request of `REQUESTS` for a method."""
        given = json.dumps(REQUESTS.get(method.name, {}))
        for name, one in self._ids.items():
            given = given.replace(name, one)
        return json_format.Parse(given, self._running.message(method.input_type))

    async def code(self, method: MethodDescriptor, request: Message) -> str:
        """Return the code of a call; of a stream, the code before the second message."""
        admin = method.containing_service is ADMIN_SERVICE
        channel = self._admin if admin else self._client.channel
        kind: Any = channel.unary_stream if method.server_streaming else channel.unary_unary
        make = kind(_path(method), request_serializer=type(request).SerializeToString)
        call = make(request, timeout=WAIT_TIMEOUT, metadata=() if admin else (*self._headers.items(),))
        try:
            await (call.read() if method.server_streaming else call)
        except grpc.aio.AioRpcError as error:
            return error.code().name
        finally:
            call.cancel()
        return "OK"

    async def status(self, method: MethodDescriptor, request: Message) -> int:
        """Return the HTTP status of a call over Connect, with half a surrogate in place of SURROGATE."""
        body = json_format.MessageToJson(request).replace(SURROGATE, "\\ud800")
        headers = self._headers | {"Content-Type": "application/json"}
        url = self._running.gateway.http_address + _path(method)
        async with self._http.post(url, data=body, headers=headers) as answer:
            return answer.status


@pytest.fixture
async def caller(running: Running) -> AsyncIterator[Caller]:
    admin = running.gateway._ports._sockets.admin
    async with grpc.aio.insecure_channel(admin) as channel, aiohttp.ClientSession() as http:
        caller = Caller(running, await running.key("red"), channel, http)
        await caller.create()
        yield caller
        await caller.close()


def _path(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def test_each_prepared_request_is_that_of_a_method() -> None:
    assert REQUESTS.keys() <= {method.name for method in METHODS}


async def test_no_text_is_an_internal_error(caller: Caller) -> None:
    wrong = []
    for method in METHODS:
        over_connect = method.containing_service is not ADMIN_SERVICE and not method.server_streaming
        for field, put in texts(method.input_type):
            for text in TEXTS:
                put(request := caller.request(method), text)
                code = await caller.code(method, request)
                wrong += [(method.name, field, text[:9], code)] if code in INTERNAL else []
            if over_connect:
                put(request := caller.request(method), SURROGATE)
                status = await caller.status(method, request)
                wrong += [(method.name, field, SURROGATE, status)] if status >= 500 else []
    assert wrong == []


async def test_no_page_token_is_an_internal_error(caller: Caller) -> None:
    wrong = []
    for method in METHODS:
        for place in PLACES if "page_token" in method.input_type.fields_by_name else ():
            request = caller.request(method)
            for tenant in ("", "red"):
                request.page_token = page_tokens.page_token(place, pages.binding_of(request, tenant))
                code = await caller.code(method, request)
                wrong += [(method.name, place[:9], code)] if code in INTERNAL else []
    assert wrong == []
