"""The errors of failed calls and generations, and their texts."""

import grpc
import pytest

from clients.python.tests.scripted_gateway import Refusal, generation, refusal
from hfgateway.v1.error_pb2 import ErrorReason, Failure
from hfgateway_client import errors
from hfgateway_client.status import error_from_generation, error_from_rpc, state_name


class FailedCall(grpc.RpcError):
    """The three methods that the errors of grpc and of grpc.aio have in common."""

    def __init__(self, code: grpc.StatusCode, text: str = "", metadata: tuple[tuple[str, bytes], ...] = ()) -> None:
        self._status = code, text, metadata

    def code(self) -> grpc.StatusCode:
        return self._status[0]

    def details(self) -> str:
        return self._status[1]

    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
        return self._status[2]


def failed(refusal: Refusal) -> errors.GatewayError:
    return error_from_rpc(FailedCall(refusal.code, "", refusal.trailing_metadata()))


def test_an_error_has_all_details_of_the_gateway() -> None:
    error = failed(
        refusal("INVALID_ARGUMENT", "INVALID_INPUT", "1 field", retry_delay=2.5, input__soul__seed="1 to 1,000,000")
    )

    assert str(error) == "INVALID_INPUT: 1 field (input.soul.seed: 1 to 1,000,000)"
    assert [violation.field for violation in error.field_violations] == ["input.soul.seed"]
    assert error.retry_delay == 2.5
    assert not error.retryable


def test_the_text_of_an_error_repeats_nothing() -> None:
    error = failed(refusal("INVALID_ARGUMENT", "INVALID_INPUT", "labels: too many", labels="too many"))

    assert str(error) == "INVALID_INPUT: labels: too many"


def test_the_text_of_a_transport_error_has_its_code() -> None:
    error = error_from_rpc(FailedCall(grpc.StatusCode.UNAVAILABLE, "broken"))

    assert str(error) == "UNAVAILABLE: broken"


def test_an_error_without_message_has_a_text() -> None:
    error = error_from_rpc(FailedCall(grpc.StatusCode.DATA_LOSS))

    assert str(error) == "DATA_LOSS: data loss"


def test_an_accepted_generation_that_failed_is_not_a_refusal() -> None:
    failure = Failure(reason=ErrorReason.ERROR_REASON_GENERATION_FAILED, message="the model gave up")
    accepted = generation("FAILED", 3, failure=failure)
    accepted.accept_time.GetCurrentTime()
    error = error_from_generation(accepted)

    assert type(error) is errors.GenerationFailed
    assert (error.code, str(error)) == (None, "GENERATION_FAILED: the model gave up (generation g1)")


def test_a_state_newer_than_the_stubs_has_a_name() -> None:
    newer = generation("QUEUED", 1)
    newer.state = 17  # type: ignore[assignment]
    assert state_name(newer) == "STATE_17"


@pytest.mark.parametrize("error_class", [errors.GatewayError, errors.KeyReused, errors.GenerationLost])
def test_an_error_is_named_by_its_public_module(error_class: type[errors.GatewayError]) -> None:
    assert error_class.__module__ == "hfgateway_client.errors"
