"""The exit codes of the client commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hfgateway_client import GatewayError, Generation

COMPLETED = 0
NOT_COMPLETED = 1
USAGE = 2
REFUSED = 3
GATEWAY_UNAVAILABLE = 4
UNRESOLVED = 5
STILL_RUNNING = 6
NOT_SAVED = 7
UPSTREAM_UNAVAILABLE = 8
OUTPUT_NOT_WRITTEN = 9
INTERRUPTED = 130

UNKNOWN_OUTCOMES = frozenset({GATEWAY_UNAVAILABLE, UNRESOLVED, UPSTREAM_UNAVAILABLE})
"""The codes of a call that may have created something. Its command then says how to continue with the same key."""


def of_generation(generation: Generation) -> int:
    """Return the exit code for a generation."""
    from hfgateway_client import GenerationState as State
    from hfgateway_client import error_from_generation
    from hfgateway_client.errors import GenerationRefused

    if generation.state == State.GENERATION_STATE_COMPLETED:
        return COMPLETED
    if generation.state in (State.GENERATION_STATE_UNCERTAIN, State.GENERATION_STATE_LOST):
        return UNRESOLVED
    if not generation.done:
        return STILL_RUNNING
    if isinstance(error_from_generation(generation), GenerationRefused):
        return REFUSED
    return NOT_COMPLETED


def of_error(error: GatewayError) -> int:
    """Return the exit code for the error of a call."""
    from hfgateway_client import errors

    if isinstance(error, errors.UpstreamUnavailable):
        return UPSTREAM_UNAVAILABLE
    if isinstance(error, (errors.Unavailable, errors.DeadlineExceeded)):
        return GATEWAY_UNAVAILABLE
    if error.code is not None and error.code.name == "UNIMPLEMENTED":
        return REFUSED  # an older gateway, which has done nothing
    # A defect does not say what was done before it. Codes without a class, such as DATA_LOSS, come from proxies.
    defect = type(error) in {errors.InternalError, errors.GatewayError}
    return UNRESOLVED if defect or isinstance(error, errors.SubmissionUnresolved) else REFUSED
