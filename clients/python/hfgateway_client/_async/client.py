"""The client class, with the methods for generations. The methods for other services are in the modules beside it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, Self

from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.error_pb2 import FieldViolation
from hfgateway.v1.generation_input_pb2 import ApiVersion
from hfgateway.v1.generation_pb2 import Generation, GenerationState
from hfgateway.v1.token_service_pb2 import CreateWatchTokenRequest, CreateWatchTokenResponse
from hfgateway_client import requests
from hfgateway_client._async.agents import Agents
from hfgateway_client._async.callbacks import CallbackMethods
from hfgateway_client._async.calls import Calls
from hfgateway_client._async.catalogs import CatalogMethods
from hfgateway_client._async.channel import open_channel
from hfgateway_client._async.characters import CharacterMethods
from hfgateway_client._async.timers import Timers
from hfgateway_client._async.uploads import UploadMethods
from hfgateway_client._async.watching import WatchMethods
from hfgateway_client.channel import TlsConfig, channel_credentials
from hfgateway_client.configuration import address_or_default, key_source, require_secrecy
from hfgateway_client.errors import GatewayError, as_cause, attach_key, report
from hfgateway_client.inputs import AnyInput, ApiVersionName, enum_value
from hfgateway_client.requests import StateName, WaitForName
from hfgateway_client.retry import OnRetry, RetryPolicy
from hfgateway_client.status import error_from_generation
from hfgateway_client.submission import Submission


class AsyncClient(CallbackMethods, CatalogMethods, CharacterMethods, UploadMethods, WatchMethods):
    """A client of a gateway.

    It can be used for any number of concurrent calls. Close it with `close`, or use it as a context manager.

    All times are in seconds. Failed calls are retried if that has no second effect; see `RetryPolicy`. A timeout, an
    error or a canceled call never cancels the generation.

    Lists fetch pages on demand, of ``page_size`` items: by default 50, at most 500; in the catalogs 100 and 1,000.
    Watches resume after a lost connection or a restart of the gateway, and raise `Unavailable` only after
    ``RetryPolicy.resume_watches_for``. To stop one early, close the iterator.

    An unknown name, such as one of a state, and a datetime without a time zone are a ValueError.

    Errors are subclasses of `GatewayError`. Each method lists its own. In addition, every call can raise these:

    - `InvalidInput`: the gateway's validation refused the request. ``field_violations`` names the fields.
    - `InvalidCredentials`: the API key is missing, wrong, expired or revoked.
    - `NotAllowed`: the API key may not make this call, or a limit does not allow the model.
    - `NotFound`: the tenant has no generation, character, callback or delivery with the id that was passed.
    - `QuotaExceeded`: the tenant has reached a limit.
    - `GatewayOverloaded`: the gateway is overloaded, and retries did not help.
    - `Unavailable`: the gateway cannot be reached or is shutting down, and retries did not help. `UpstreamUnavailable`
      if Higgsfield sent no usable response.
    - `InternalError`: a defect of the gateway. `UpstreamCredentialsRefused` if Higgsfield refuses its credentials.
    - `DeadlineExceeded`: the timeout of the call has passed.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        api_key: str | Callable[[], str] | None = None,
        tls: bool | TlsConfig | None = None,
        insecure: bool = False,
        timeout: float = 30.0,
        retry: RetryPolicy | None = None,
        on_retry: OnRetry | None = None,
        interceptors: Sequence[Any] = (),
        channel: Any = None,
        timers: Timers | None = None,
    ) -> None:
        """Create a client. It connects at the first call.

        Args:
            address: The host and port of the gateway's gRPC address. Default: the environment variable
                HFGATEWAY_ADDRESS, or "127.0.0.1:50051".
            api_key: The API key ("hfg_...") or watch token ("hfw_..."), sent with every call. "" is none. A function
                is called before each attempt of a call, for keys that change. Default: the environment variable
                HFGATEWAY_API_KEY, or none.
            tls: True for TLS with the default root certificates, or a `TlsConfig`. Default: plaintext.
            insecure: Whether the key may be sent in plaintext to an address that is not a loopback address.
            timeout: The timeout of a call that returns one response, in seconds. It includes retries.
            retry: The retry policy. Default: ``RetryPolicy()``.
            on_retry: Called before each retry with the error and the delay in seconds. Retries are also logged at INFO
                by the logger "hfgateway_client".
            interceptors: gRPC's client interceptors, for example for traces or metrics. They see each attempt.
            channel: For tests: a gRPC channel to use instead of connecting to ``address``. `close` does not close it.
            timers: For tests: the clock and the sleep.

        Raises:
            OSError: A file in the `TlsConfig` cannot be read.
            ValueError: The API key is not visible ASCII, or would be sent in plaintext and ``insecure`` is not set. Or
                the port of the address is above 65535.
        """
        address = address_or_default(address)
        key = key_source(api_key)
        if key and channel is None and not tls and not insecure:
            require_secrecy(address)
        credentials = channel_credentials(tls)
        self._owns_channel = channel is None
        self._calls = Calls(
            lambda: open_channel(address, credentials, interceptors) if channel is None else channel,
            address=address if channel is None else "",
            key=key,
            timeout=timeout,
            policy=retry or RetryPolicy(),
            on_retry=on_retry,
            timers=timers or Timers(),
        )
        self.agents: Agents = Agents(self._calls)
        """Conversations with Higgsfield's agents."""

    async def check(self, timeout: float = 10.0) -> None:
        """Make one call, and raise at once if the gateway cannot be reached or does not accept the key.

        Call it at the start of a program, to report a mistake in the options at once instead of after retries. The
        message of the error has the address and the cause. The key needs the scope ``read``.
        """
        await self._calls.unary(pb.ListGenerationsRequest(page_size=1), timeout=timeout, retry=False)

    async def submit(
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
        callback_url: str = "",
        timeout: float | None = None,
    ) -> Submission:
        """Submit a generation.

        The generation is created and charged at most once: retries use the same idempotency key. If the call fails, the
        error has the key in ``idempotency_key``; call ``submit`` again with it. Local media in the input are uploaded
        first, as by `upload` and without a timeout.

        Args:
            input: The input, from `soul`, `dop`, `speak` or `model`, or a `GenerationInput`.
            idempotency_key: 1 to 255 visible ASCII characters; one key for each generation. Default: a new UUID.
            labels: Labels for lists and watches. At most 32.
            wait_for: When to return: "stored", "accepted" (Higgsfield has accepted or refused it) or "done" (it has
                ended). Default: "accepted".
            wait_timeout: How long to wait for that, from 0 to 3600 seconds. After it the generation is returned as it
                is. Default: 10 seconds.
            start_timeout: The longest time from submission to start, in seconds. After it the gateway cancels the
                generation. Default: no limit, but a generation that could not be sent for 24 hours ends as FAILED.
            fail_when_saturated: Whether to raise `UpstreamSaturated` if Higgsfield is saturated. If not, the generation
                waits in the gateway's queue.
            outputs_ttl: The time after which Higgsfield deletes the outputs, in whole seconds, at least 3600. Default
                and maximum: the setting of the Higgsfield account.
            callback_url: The URL that signed deliveries about this generation are sent to. The tenant must have a
                callback without a URL, from `create_callback`. Default: none.
            timeout: The timeout of the call in seconds, without ``wait_timeout``, which is added to it. Default: the
                timeout of the client.

        Returns:
            The generation with its idempotency key, whether the key had been used before, and warnings about the input.

        Raises:
            InputRefused: Higgsfield refused the input.
            ModelUnknown: Higgsfield does not know the model.
            ModelUnavailable: Higgsfield has disabled or blocked the model.
            KeyReused: The key was used with another input, or its generation was deleted.
            InsufficientCredits: The Higgsfield account does not have enough credits.
            BudgetExceeded: A budget does not have enough credits left.
            PriceUnknown: A budget applies, and the price of the input is not known.
            UpstreamSaturated: Higgsfield is saturated, and ``fail_when_saturated`` is set.
            UpstreamUnavailable: Local media could not be uploaded, or a budget applies and Higgsfield did not return
                the price.
            OSError: A local file cannot be read.
            ValueError: ``wait_for`` is unknown, or the type of local media cannot be determined.
        """
        request = pb.SubmitGenerationRequest(
            input=await self.upload_media(input),
            # A retry without a key would create a second generation.
            idempotency_key=requests.key_or_new(idempotency_key),
            labels=labels or {},
            wait_for=enum_value(pb.WaitFor, wait_for),
            wait_timeout=requests.duration(wait_timeout),
            start_timeout=requests.duration(start_timeout),
            fail_when_saturated=fail_when_saturated,
            outputs_ttl=requests.duration(outputs_ttl),
            callback_url=callback_url,
        )
        with attach_key(request.idempotency_key):
            # The timeout may be shorter than wait_timeout, so they are added.
            response = await self._calls.unary(request, timeout=timeout, extra=wait_timeout or 0.0)
        return Submission(response.generation, request.idempotency_key, response.replayed, list(response.warnings))

    async def generate(
        self,
        input: AnyInput,
        *,
        on_progress: Callable[[Generation], object] | None = None,
        forecast_interval: float | None = 2.0,
        on_warning: Callable[[FieldViolation], object] | None = None,
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
        start_timeout: float | None = None,
        fail_when_saturated: bool = False,
        outputs_ttl: float | None = None,
        callback_url: str = "",
        timeout: float | None = None,
    ) -> Generation:
        """Submit a generation, wait for its end, and return it.

        The generation is never submitted twice. If the call fails or is canceled, a submitted generation continues. To
        wait for it again, call ``generate`` with the same input and the ``idempotency_key`` of the error. A
        cancellation raises no such error, so set a key if you may cancel.

        The other arguments are those of `submit`.

        Args:
            on_progress: Called with the generation when it is stored, after every change, and with newer forecasts. The
                ``forecast`` of the generation has the progress and the expected end.
            forecast_interval: How many seconds must pass without a change before ``on_progress`` is called with a newer
                forecast, at the same revision. At least 1. None: only changes are reported.
            on_warning: Called with each warning about the input; see `Submission`.
            timeout: The timeout in seconds, from the end of the upload of local media. Default: no limit.

        Returns:
            The generation in the state COMPLETED, with its outputs.

        Raises:
            GenerationFailed: The generation ended in another state; the error has it in ``generation``. The subclasses
                are `GenerationRefused`, `GenerationModerated`, `GenerationCanceled` and `GenerationLost`.
            GatewayError: ``on_progress`` or ``on_warning`` raised an exception, which is its ``__cause__``.
            KeyReused: The key was used with another input, or its generation was deleted.
            BudgetExceeded: A budget does not have enough credits left.
            PriceUnknown: A budget applies, and the price of the input is not known.
            UpstreamSaturated: Higgsfield is saturated, and ``fail_when_saturated`` is set.
            UpstreamUnavailable: Local media could not be uploaded, or a budget applies and Higgsfield did not return
                the price.
            OSError: A local file cannot be read.
            ValueError: The type of local media cannot be determined.
        """
        every = requests.duration(forecast_interval) if on_progress else None  # its errors come before the submission
        input = await self.upload_media(input)
        deadline = self._calls.deadline(timeout)
        submission = await self.submit(
            input,
            idempotency_key=idempotency_key,
            labels=labels,
            wait_for="stored",
            start_timeout=start_timeout,
            fail_when_saturated=fail_when_saturated,
            outputs_ttl=outputs_ttl,
            callback_url=callback_url,
            timeout=deadline.within(self._calls.timeout),
        )
        generation = submission.generation
        with attach_key(submission.idempotency_key), as_cause(GatewayError):
            for warning in submission.warnings:
                report(on_warning, warning)
            report(on_progress, generation)
            if not generation.done:
                request = pb.WatchGenerationRequest(
                    id=generation.id, after_revision=generation.revision, forecast_interval=every
                )
                async with aclosing(self._changes(request, deadline.left(), generation)) as changes:
                    async for generation in changes:
                        report(on_progress, generation)
        if generation.state != GenerationState.GENERATION_STATE_COMPLETED:
            raise error_from_generation(generation)
        return generation

    async def adopt(
        self,
        upstream_request_id: str,
        *,
        api_version: ApiVersionName = "v2",
        labels: Mapping[str, str] | None = None,
    ) -> pb.AdoptGenerationResponse:
        """Adopt a request that was made without this gateway, by its id at Higgsfield.

        From then on it is a generation like any other, but its model, input and cost are not known. Nothing is
        submitted or charged. Adopting a request again returns the same generation.

        Args:
            upstream_request_id: The id of the request, or of the job set in Higgsfield's v1 API: a UUID.
            api_version: The version of Higgsfield's API that the request was made with: "v1" or "v2".
            labels: Labels for lists and watches. At most 32. Ignored if the tenant has the generation already.

        Returns:
            The ``generation``, and in ``replayed`` whether the tenant had it before the call.

        Raises:
            NotFound: Higgsfield knows no such request of the gateway's account, another tenant has it, or its
                generation was deleted.
            UpstreamUnavailable: Higgsfield sent no usable response, or limits status calls.
        """
        version = enum_value(ApiVersion, api_version)
        return await self._calls.unary(
            pb.AdoptGenerationRequest(upstream_request_id=upstream_request_id, api_version=version, labels=labels or {})
        )

    async def get(self, generation_id: str) -> Generation:
        """Return a generation with its input."""
        return (await self._calls.unary(pb.GetGenerationRequest(id=generation_id))).generation

    def list(
        self,
        *,
        ids: Iterable[str] = (),
        states: Iterable[StateName] = (),
        model_ids: Iterable[str] = (),
        labels: Mapping[str, str] | None = None,
        idempotency_key: str = "",
        upstream_request_ids: Iterable[str] = (),
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        include_input: bool = False,
        page_size: int = 0,
    ) -> AsyncGenerator[Generation, None]:
        """Iterate over generations, newest first.

        A generation must match all filters that are set. Without a filter, all generations of the tenant are returned.

        Args:
            ids: Only generations with these ids. At most 1,000.
            states: Only generations in one of these states, such as "COMPLETED".
            model_ids: Only generations of one of these models. At most 100.
            labels: Only generations that have all of these labels.
            idempotency_key: Only generations submitted with this key. Use it to find a submission whose response was
                lost.
            upstream_request_ids: Only generations with one of these ids at Higgsfield. At most 1,000.
            created_after: Only generations created at or after this time.
            created_before: Only generations created before this time.
            include_input: Whether to return the inputs.
        """
        filter = requests.generation_filter(
            ids=ids,
            states=states,
            model_ids=model_ids,
            labels=labels,
            idempotency_key=idempotency_key,
            upstream_request_ids=upstream_request_ids,
            created_after=created_after,
            created_before=created_before,
        )
        return self._calls.pages(
            pb.ListGenerationsRequest(filter=filter, page_size=page_size, include_input=include_input), "generations"
        )

    async def cancel(self, generation_id: str) -> Generation:
        """Cancel a generation and return it. Canceling it again succeeds.

        A PENDING generation is canceled by the gateway and costs nothing. For a QUEUED one, Higgsfield decides; in its
        v1 API, which documents no cancellation, it usually fails. A running generation cannot be canceled.

        Raises:
            NotCancelable: It is too late, its state is unknown, or Higgsfield did not cancel it. ``metadata["state"]``
                names the state.
            UpstreamUnavailable: Higgsfield sent no usable response, or limits status calls.
        """
        return (await self._calls.unary(pb.CancelGenerationRequest(id=generation_id))).generation

    async def estimate(self, input: AnyInput) -> pb.EstimateGenerationResponse:
        """Validate an input and return its price. Nothing is charged or reserved.

        Local media in the input are uploaded first. They are not uploaded again if you submit the same input.

        Returns:
            The ``cost``, or for a metered model a ``description`` of its price; and ``warnings`` as in `Submission`.

        Raises:
            InvalidInput: A field is wrong, or the input needs Higgsfield's v1 API, which has no estimates.
            InputRefused: Higgsfield refused the input.
            ModelUnknown: Higgsfield does not know the model.
            ModelUnavailable: Higgsfield has disabled or blocked the model.
            InsufficientCredits: Higgsfield refuses estimates because the account does not have enough credits.
            OSError: A local file cannot be read.
            ValueError: The type of local media cannot be determined.
        """
        return await self._calls.unary(pb.EstimateGenerationRequest(input=await self.upload_media(input)))

    async def delete(self, generation_id: str) -> bool:
        """Delete an ended generation from the gateway, and its input and outputs from Higgsfield.

        Higgsfield cannot delete what was sent to its v1 API. The idempotency key of the generation stays used. Deleting
        a deleted generation succeeds.

        Returns:
            Whether Higgsfield has removed the input and the outputs.

        Raises:
            NotDone: The generation has not ended.
            UpstreamUnavailable: The generation is deleted in the gateway, but Higgsfield has not confirmed the removal
                yet. The gateway repeats it until Higgsfield does.
        """
        response = await self._calls.unary(pb.DeleteGenerationRequest(id=generation_id))
        return bool(response.removed_upstream)

    async def explain(self, generation_id: str) -> pb.ExplainGenerationResponse:
        """Return the history of a generation, oldest event first.

        It contains every change with its cause, and every call to Higgsfield with its outcome, but no secrets and
        nothing of the input.
        """
        return await self._calls.unary(pb.ExplainGenerationRequest(id=generation_id))

    async def create_watch_token(
        self,
        *,
        ids: Iterable[str] = (),
        labels: Mapping[str, str] | None = None,
        ttl: float | None = None,
        include_input: bool = False,
    ) -> CreateWatchTokenResponse:
        """Create a watch token, with which a browser can read and watch some generations and nothing else.

        A client sends the token in place of an API key. It is a secret.

        Args:
            ids: Only generations with these ids. At most 100.
            labels: Only generations that have all of these labels. Either ``ids`` or ``labels`` is required.
            ttl: How long the token is valid, from 1 to 3600 seconds. Default: 15 minutes.
            include_input: Whether the token allows reading inputs.

        Returns:
            The ``token`` ("hfw_...") and its ``expire_time``.
        """
        filter = requests.generation_filter(ids=ids, labels=labels)
        request = CreateWatchTokenRequest(filter=filter, ttl=requests.duration(ttl), include_input=include_input)
        return await self._calls.unary(request)

    async def close(self) -> None:
        """End all calls and close the connection. A ``channel`` that was passed to the constructor stays open.

        Calls in progress and later calls raise `ClientClosed`. A call that waits for a retry raises it after the wait.
        """
        channel = self._calls.close()
        if channel is not None and self._owns_channel:
            await channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()
