"""Every RPC refuses a request without the fields that the protos call required, and names one of them."""

from __future__ import annotations

import re

import grpc.aio
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.rpc import error_details_pb2, status_pb2

from hfgateway.admin.v1 import admin_service_pb2
from tests.support.operator import ask
from tests.support.running import Running
from tests.support.transports import SERVICES, RpcFailure
from tools.generate import PROTOS

ADMIN = admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"]
_FIELD = r"^  // Required\b.*\n(?:  //.*\n)*  (?:(?:repeated )?[\w.]+ )(\w+) (?:= \d+|\{)"


def required_fields() -> dict[str, set[str]]:
    """Return the names of the required fields and oneofs of each request that has some."""
    found = {}
    for path in PROTOS.rglob("*.proto"):
        for name, body in re.findall(r"^message (\w+Request) \{\n(.*?)^\}", path.read_text(), re.M | re.S):
            if fields := re.findall(_FIELD, body, re.M):
                found[name] = set(fields)
    return found


REQUIRED = required_fields()
METHODS = [
    method
    for service in (*SERVICES, ADMIN)
    for method in service.methods
    if method.input_type.name in REQUIRED and not method.client_streaming
]


async def violations(running: Running, method: MethodDescriptor) -> set[str]:
    """Make a call with an empty request, which must be INVALID_ARGUMENT; return the fields that its error names."""
    request = running.message(method.input_type)
    if method.containing_service is ADMIN:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await ask(running, method.name, request)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT, method.name
        metadata = dict(refused.value.trailing_metadata() or ())
        status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
        bad = error_details_pb2.BadRequest()
        assert any(detail.Unpack(bad) for detail in status.details)
    else:
        client, name = running.grpc, method.name
        with pytest.raises(RpcFailure) as failed:
            await (anext(client.stream(name, request)) if method.server_streaming else client.call(name, request))
        assert failed.value.code == "INVALID_ARGUMENT", method.name
        bad = failed.value.detail(error_details_pb2.BadRequest)
    return {violation.field for violation in bad.field_violations}


def test_the_required_fields_are_read_from_the_protos() -> None:
    assert REQUIRED["ResolveCharacterRequest"] == {"tenant", "idempotency_key", "resolution"}
    assert len(METHODS) > 40


async def test_a_request_without_its_required_fields_names_one(running: Running) -> None:
    for method in METHODS:
        named = await violations(running, method)
        assert named & REQUIRED[method.input_type.name], method.name


async def test_an_operators_request_names_all_missing_fields(running: Running) -> None:
    for name in ("ResolveGeneration", "ResolveCharacter", "ResolveMessage", "RotateAccount", "RemoveAccount"):
        method = ADMIN.methods_by_name[name]
        assert await violations(running, method) == REQUIRED[method.input_type.name]
