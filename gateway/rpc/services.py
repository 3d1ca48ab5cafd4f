"""The services of the API, as the descriptors of their protos."""

from google.protobuf.descriptor import ServiceDescriptor

from hfgateway.admin.v1 import admin_service_pb2
from hfgateway.agents.v1alpha1 import agent_service_pb2
from hfgateway.v1 import (
    callback_service_pb2,
    catalog_service_pb2,
    character_service_pb2,
    generation_service_pb2,
    token_service_pb2,
    upload_service_pb2,
)

GENERATION_SERVICE: ServiceDescriptor = generation_service_pb2.DESCRIPTOR.services_by_name["GenerationService"]
TOKEN_SERVICE: ServiceDescriptor = token_service_pb2.DESCRIPTOR.services_by_name["TokenService"]
UPLOAD_SERVICE: ServiceDescriptor = upload_service_pb2.DESCRIPTOR.services_by_name["UploadService"]
CALLBACK_SERVICE: ServiceDescriptor = callback_service_pb2.DESCRIPTOR.services_by_name["CallbackService"]
CATALOG_SERVICE: ServiceDescriptor = catalog_service_pb2.DESCRIPTOR.services_by_name["CatalogService"]
CHARACTER_SERVICE: ServiceDescriptor = character_service_pb2.DESCRIPTOR.services_by_name["CharacterService"]
AGENT_SERVICE: ServiceDescriptor = agent_service_pb2.DESCRIPTOR.services_by_name["AgentService"]
PUBLIC_SERVICES = (
    GENERATION_SERVICE,
    TOKEN_SERVICE,
    UPLOAD_SERVICE,
    CALLBACK_SERVICE,
    CATALOG_SERVICE,
    CHARACTER_SERVICE,
    AGENT_SERVICE,
)
"""The services for callers, on both ports."""
ADMIN_SERVICE: ServiceDescriptor = admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"]
SUBMIT = f"/{GENERATION_SERVICE.full_name}/SubmitGeneration"
