"""Converts failed calls and failed generations into the errors of `hfgateway_client.errors`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from hfgateway.v1.character_service_pb2 import CharacterState, SoulCharacter
from hfgateway.v1.error_pb2 import ErrorReason, Failure
from hfgateway.v1.generation_pb2 import Generation, GenerationState
from hfgateway_client import errors
from hfgateway_client._errors import BY_CODE, BY_REASON
from hfgateway_client.gateway_error import is_broken_connection

if TYPE_CHECKING:
    from google.protobuf.internal.enum_type_wrapper import _EnumTypeWrapper

_Value = TypeVar("_Value", bound=int)

DOMAIN = "hfgateway"
_DETAILS_KEY = "grpc-status-details-bin"


def error_from_rpc(error: grpc.RpcError) -> errors.GatewayError:
    """Return the error of a failed call.

    Its class depends on the reason. If the reason is missing or not known to this version, it depends on the gRPC code.
    INTERNAL and UNKNOWN without a reason are `Unavailable`.
    """
    code: grpc.StatusCode = error.code()
    try:
        failure, reason = _read_details(error)
    except DecodeError:  # the details are not from the gateway
        failure, reason = Failure(), ""
    message = failure.message or error.details() or code.name.replace("_", " ").lower()
    if is_broken_connection(code, reason):
        error_class: type[errors.GatewayError] = errors.Unavailable
    else:
        error_class = BY_REASON.get(reason, BY_CODE.get(code, errors.GatewayError))
    return error_class(message, code=code, reason=reason, failure=failure)


def error_from_generation(generation: Generation) -> errors.GenerationFailed:
    """Return the error that ``generate`` raises for a generation that has ended in a state other than COMPLETED.

    Its class is `GenerationRefused`, `GenerationModerated`, `GenerationCanceled` or `GenerationLost`, and otherwise
    `GenerationFailed`.
    """
    error_class = errors.BY_END.get(generation.state, errors.GenerationFailed)
    if generation.state == GenerationState.GENERATION_STATE_FAILED and not generation.HasField("accept_time"):
        error_class = errors.GenerationRefused
    message = generation.failure.message or f"ended as {state_name(generation)}"
    return error_class(generation, message, reason=reason_name(generation.failure))


def error_from_training(character: SoulCharacter, idempotency_key: str) -> errors.TrainingFailed:
    """Return the error that ``train_character`` raises for a character whose training did not complete."""
    message = character.failure.message or f"ended as {character_state_name(character)}"
    return errors.TrainingFailed(character, idempotency_key, message, reason=reason_name(character.failure))


def state_name(generation: Generation) -> str:
    """Return the name of a generation's state, such as "QUEUED" or "COMPLETED".

    A state that is newer than this version of the client is returned by its number, such as "STATE_17".
    """
    return _short_name(GenerationState, generation.state, "GENERATION_STATE_", unknown="STATE_")


def character_state_name(character: SoulCharacter) -> str:
    """Return the name of a character's state, such as "IN_PROGRESS" or "COMPLETED".

    A state that is newer than this version of the client is returned by its number, such as "STATE_17".
    """
    return _short_name(CharacterState, character.state, "CHARACTER_STATE_", unknown="STATE_")


def reason_name(failure: Failure) -> str:
    """Return the name of a failure's reason, such as "QUOTA_EXCEEDED", or "" if it has none."""
    if failure.reason == ErrorReason.ERROR_REASON_UNSPECIFIED:
        return ""
    return _short_name(ErrorReason, failure.reason, "ERROR_REASON_", unknown="REASON_")


def _short_name(enum: _EnumTypeWrapper[_Value], value: _Value, prefix: str, *, unknown: str) -> str:
    try:
        return enum.Name(value).removeprefix(prefix)
    except ValueError:
        return f"{unknown}{value}"


def _read_details(error: grpc.RpcError) -> tuple[Failure, str]:
    """Return the Failure in the details of an error, and the name of its reason.

    The name is taken from ErrorInfo if possible, because that has the names of reasons newer than these stubs. If there
    is no Failure, as in an error of a proxy, one is built from the standard details.
    """
    failure, standard = Failure(), Failure()
    reason, found = "", False
    for detail in _status(error).details:
        info = error_details_pb2.ErrorInfo()
        bad_request = error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(failure):
            found = True
        elif detail.Unpack(info) and info.domain == DOMAIN:
            reason = info.reason
            standard.metadata.update(info.metadata)
        elif detail.Unpack(bad_request):
            for violation in bad_request.field_violations:
                standard.field_violations.add(field=violation.field, description=violation.description)
        elif detail.Unpack(retry):
            standard.retry_delay.CopyFrom(retry.retry_delay)
    return (failure, reason or reason_name(failure)) if found else (standard, reason)


def _status(error: grpc.RpcError) -> status_pb2.Status:
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS_KEY:
            return status_pb2.Status.FromString(value)
    return status_pb2.Status()
