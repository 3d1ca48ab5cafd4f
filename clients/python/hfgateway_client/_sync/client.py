# Generated from _async by tools/unasync.py. DO NOT EDIT!
"""The client: one method for each thing that a caller wants, in seconds, names and plain iterators.

Here are generations, and the connection's beginning and end; the other services have modules of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.generation_pb2 import Generation, GenerationState
from hfgateway.v1.token_service_pb2 import CreateWatchTokenRequest, CreateWatchTokenResponse
from hfgateway_client import requests
from hfgateway_client._sync import watching
from hfgateway_client._sync.agents import Agents
from hfgateway_client._sync.callbacks import CallbackMethods
from hfgateway_client._sync.calls import Calls
from hfgateway_client._sync.catalogs import CatalogMethods
from hfgateway_client._sync.channel import open_channel
from hfgateway_client._sync.characters import CharacterMethods
from hfgateway_client._sync.timers import Timers
from hfgateway_client._sync.uploads import UploadMethods
from hfgateway_client.channel import DEFAULT_ADDRESS, TlsConfig
from hfgateway_client.errors import keeping_key
from hfgateway_client.events import WatchEvent
from hfgateway_client.inputs import AnyInput
from hfgateway_client.requests import StateName, WaitForName
from hfgateway_client.retry import RetryPolicy
from hfgateway_client.status import error_from_generation
from hfgateway_client.submission import Submission


class Client(CallbackMethods, CatalogMethods, CharacterMethods, UploadMethods):
    """A gateway, for as many calls at a time as you like.

    ``timeout`` is the deadline of a unary call in seconds, repeats included. Every error is a
    `hfgateway_client.errors.GatewayError`. What a call was about goes on when the call ends, for whatever reason.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        api_key: str | None = None,
        tls: bool | TlsConfig | None = None,
        timeout: float = 30.0,
        retry: RetryPolicy | None = None,
        channel: Any = None,
        timers: Timers | None = None,
    ) -> None:
        """``channel`` and ``timers`` are for tests; a channel that was given is not closed."""
        self._owned_channel = open_channel(address, tls) if channel is None else None
        self._calls = Calls(
            self._owned_channel if channel is None else channel,
            api_key=api_key,
            timeout=timeout,
            policy=retry or RetryPolicy(),
            timers=timers or Timers(),
        )
        self.agents = Agents(self._calls)
        """Conversations with Higgsfield's agents."""

    def submit(
        self,
        input: AnyInput,
        *,
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
        wait_for: WaitForName | None = None,
        wait_timeout: float | None = None,
        start_timeout: float | None = None,
        fail_when_saturated: bool = False,
        outputs_ttl: float | None = None,
        timeout: float | None = None,
    ) -> Submission:
        """Submit once, however often the answer gets lost: repeats carry the same key.

        Without an ``idempotency_key`` a UUID is made; an error holds it too, so that the same submit can be made again.
        ``wait_for`` says what to answer with ("accepted" unless given), within ``wait_timeout`` (10 s unless given).
        Media in the input that is still here is uploaded first, which takes what it takes.
        """
        request = requests.submit_request(
            self.upload_media(input),
            idempotency_key=idempotency_key,
            labels=labels,
            wait_for=wait_for,
            wait_timeout=wait_timeout,
            start_timeout=start_timeout,
            fail_when_saturated=fail_when_saturated,
            outputs_ttl=outputs_ttl,
        )
        with keeping_key(request.idempotency_key):
            # The deadline would cut short a longer wait_timeout, so it comes on top.
            response, warnings = self._calls.warned(
                self._calls.generations.SubmitGeneration, request, timeout=timeout, extra=wait_timeout or 0.0
            )
        return Submission(response.generation, request.idempotency_key, response.replayed, warnings)

    def generate(
        self,
        input: AnyInput,
        *,
        on_progress: Callable[[Generation], object] | None = None,
        on_warning: Callable[[str], object] | None = None,
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
        start_timeout: float | None = None,
        fail_when_saturated: bool = False,
        outputs_ttl: float | None = None,
        timeout: float | None = None,
    ) -> Generation:
        """Submit, follow it to its end, and return it COMPLETED.

        ``on_progress`` is called with the generation as stored, and with every change; ``on_warning`` with each of the
        `Submission.warnings`. An end without output is raised
        as `GenerationFailed`, whose ``generation`` tells all; it is never submitted again. After ``timeout`` seconds
        (none: however long it takes) comes `DeadlineExceeded`, and the generation goes on. They begin when the media in
        the input are uploaded.
        """
        input = self.upload_media(input)
        clock = self._calls.timers.clock
        deadline = None if timeout is None else clock() + timeout
        submission = self.submit(
            input,
            idempotency_key=idempotency_key,
            labels=labels,
            wait_for="stored",
            start_timeout=start_timeout,
            fail_when_saturated=fail_when_saturated,
            outputs_ttl=outputs_ttl,
            timeout=None if timeout is None else min(timeout, self._calls.timeout),
        )
        generation = submission.generation
        _tell(submission.warnings, on_warning)
        if on_progress:
            on_progress(generation)
        if not generation.done:
            remaining = None if deadline is None else max(deadline - clock(), 0.0)
            changes = self.watch(generation.id, after_revision=generation.revision, timeout=remaining)
            with keeping_key(submission.idempotency_key), closing(changes):
                for generation in changes:
                    if on_progress:
                        on_progress(generation)
        if generation.state != GenerationState.GENERATION_STATE_COMPLETED:
            raise error_from_generation(generation)
        return generation

    def get(self, generation_id: str) -> Generation:
        """The generation as it is now, with its input."""
        response = self._calls.unary(self._calls.generations.GetGeneration, pb.GetGenerationRequest(id=generation_id))
        generation: Generation = response.generation
        return generation

    def list(
        self,
        *,
        ids: Iterable[str] = (),
        states: Iterable[StateName] = (),
        model_ids: Iterable[str] = (),
        labels: Mapping[str, str] | None = None,
        idempotency_key: str = "",
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        include_input: bool = False,
        page_size: int = 0,
    ) -> Generator[Generation, None, None]:
        """All that match everything given, newest first; pages are fetched as they are needed."""
        filter = requests.generation_filter(
            ids=ids,
            states=states,
            model_ids=model_ids,
            labels=labels,
            idempotency_key=idempotency_key,
            created_after=created_after,
            created_before=created_before,
        )
        request = pb.ListGenerationsRequest(filter=filter, page_size=page_size, include_input=include_input)
        return self._calls.pages(self._calls.generations.ListGenerations, request, "generations")

    def cancel(self, generation_id: str) -> Generation:
        """Cancel it; `NotCancelable` where it is too late."""
        response = self._calls.unary(
            self._calls.generations.CancelGeneration, pb.CancelGenerationRequest(id=generation_id)
        )
        generation: Generation = response.generation
        return generation

    def wait(self, generation_id: str, timeout: float | None = None) -> Generation:
        """The generation when it is done, or at the timeout as it is by then: see its ``done``."""
        return watching.wait(self._calls, generation_id, timeout=timeout)

    def watch(
        self,
        generation_id: str,
        after_revision: int = 0,
        *,
        include_input: bool = False,
        timeout: float | None = None,
    ) -> Generator[Generation, None, None]:
        """Every change after a revision, each once and in order; ends after the one that is done.

        Resumes by itself where the stream breaks. After ``timeout`` seconds: `DeadlineExceeded`.
        """
        return watching.watch(
            self._calls,
            generation_id,
            after_revision=after_revision,
            include_input=include_input,
            timeout=timeout,
        )

    def watch_many(
        self,
        *,
        ids: Iterable[str] = (),
        model_ids: Iterable[str] = (),
        labels: Mapping[str, str] | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        resume_token: str = "",
        include_input: bool = False,
        forecast_interval: float | None = None,
        timeout: float | None = None,
    ) -> Generator[WatchEvent, None, None]:
        """Many generations on one stream, later ones included: see `hfgateway_client.events`.

        Resumes by itself where the stream breaks. With ``ids`` it ends when all of them are done, else never.
        """
        filter = requests.generation_filter(
            ids=ids, model_ids=model_ids, labels=labels, created_after=created_after, created_before=created_before
        )
        return watching.watch_many(
            self._calls,
            filter,
            resume_token=resume_token,
            include_input=include_input,
            forecast_interval=requests.duration(forecast_interval),
            timeout=timeout,
        )

    def estimate(
        self, input: AnyInput, *, on_warning: Callable[[str], object] | None = None
    ) -> pb.EstimateGenerationResponse:
        """What it would cost; the input is checked, and warned of, as by ``submit``."""
        request = pb.EstimateGenerationRequest(input=self.upload_media(input))
        response: pb.EstimateGenerationResponse
        response, warnings = self._calls.warned(self._calls.generations.EstimateGeneration, request)
        _tell(warnings, on_warning)
        return response

    def delete(self, generation_id: str) -> bool:
        """Remove what is done; true when Higgsfield has removed its input and files as well."""
        response = self._calls.unary(
            self._calls.generations.DeleteGeneration, pb.DeleteGenerationRequest(id=generation_id)
        )
        return bool(response.removed_upstream)

    def explain(self, generation_id: str) -> pb.ExplainGenerationResponse:
        """All that happened to it and for it, oldest first: every change, every call to Higgsfield."""
        response: pb.ExplainGenerationResponse = self._calls.unary(
            self._calls.generations.ExplainGeneration, pb.ExplainGenerationRequest(id=generation_id)
        )
        return response

    def create_watch_token(
        self,
        *,
        ids: Iterable[str] = (),
        labels: Mapping[str, str] | None = None,
        ttl: float | None = None,
        include_input: bool = False,
    ) -> CreateWatchTokenResponse:
        """A token that may read and watch what matches, and nothing else: for a browser, in place of an API key."""
        filter = requests.generation_filter(
            ids=ids, model_ids=(), labels=labels, created_after=None, created_before=None
        )
        request = CreateWatchTokenRequest(filter=filter, ttl=requests.duration(ttl), include_input=include_input)
        response: CreateWatchTokenResponse = self._calls.unary(self._calls.tokens.CreateWatchToken, request)
        return response

    def close(self) -> None:
        """End all calls and close the connection."""
        if self._owned_channel is not None:
            self._calls.closed = True
            self._owned_channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _tell(warnings: tuple[str, ...], on_warning: Callable[[str], object] | None) -> None:
    if on_warning:
        for warning in warnings:
            on_warning(warning)
