"""The RPCs of all services, by their names, which are unique."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from hfgateway.agents.v1alpha1.agent_service_pb2_grpc import AgentServiceStub
from hfgateway.v1.callback_service_pb2_grpc import CallbackServiceStub
from hfgateway.v1.catalog_service_pb2_grpc import CatalogServiceStub
from hfgateway.v1.character_service_pb2_grpc import CharacterServiceStub
from hfgateway.v1.generation_service_pb2_grpc import GenerationServiceStub
from hfgateway.v1.token_service_pb2_grpc import TokenServiceStub
from hfgateway.v1.upload_service_pb2_grpc import UploadServiceStub

_STUBS: tuple[Any, ...] = (
    AgentServiceStub,
    CallbackServiceStub,
    CatalogServiceStub,
    CharacterServiceStub,
    GenerationServiceStub,
    TokenServiceStub,
    UploadServiceStub,
)


def rpcs_of(channel: Any) -> dict[str, Any]:
    """Return the callables of all RPCs on a channel."""
    return {name: rpc for stub in _STUBS for name, rpc in vars(stub(channel)).items()}


def name_of(request: Message) -> str:
    """Return the name of the RPC that takes a request: "GetGeneration" for a GetGenerationRequest."""
    return request.DESCRIPTOR.name.removesuffix("Request")
