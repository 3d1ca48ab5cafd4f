"""Uploads: made again where the source can be read again, once where it cannot."""

from __future__ import annotations

from typing import Any

import grpc

from hfgateway.v1.generation_input_pb2 import GenerationInput
from hfgateway.v1.upload_service_pb2 import CreateUploadRequest, CreateUploadResponse, UploadMediaResponse
from hfgateway_client._async.calls import Calls, Outage
from hfgateway_client.answers import answer_of
from hfgateway_client.errors import GatewayError
from hfgateway_client.inputs import AnyInput, LocalInput
from hfgateway_client.status import error_from_rpc
from hfgateway_client.uploads import Media, UploadParts, UploadSource, media


class UploadMethods:
    """The part of a client that is about media on its way to Higgsfield's storage."""

    _calls: Calls

    async def upload(
        self,
        source: UploadSource,
        content_type: str | None = None,
        *,
        size: int | None = None,
        format: str = "png",
        timeout: float | None = None,
    ) -> UploadMediaResponse:
        """Put media on Higgsfield's storage through the gateway; its ``url`` serves as an input.

        From bytes, a file's path, an open file, an image of Pillow (saved in that ``format``: "jpeg" is smaller, "png"
        loses nothing), or pieces of bytes. Without a ``content_type`` the name tells, or the first bytes. ``size`` is
        for pieces whose sum is known. An upload that failed is made again where its source can be read again, for as
        long as a call would be; else the caller, who has the source, does that. Without a ``timeout`` it may take any
        time.
        """
        calls = self._calls
        found = media(source, content_type, size, format)
        deadline = None if timeout is None else calls.timers.clock() + timeout
        patience = calls.timeout if calls.policy.repeat_calls_for is None else calls.policy.repeat_calls_for
        outage = Outage(calls, patience=patience, deadline=deadline)
        while True:
            remaining = None if deadline is None else max(deadline - calls.timers.clock(), 0.0)
            try:
                response: UploadMediaResponse = await _attempt(calls, found, remaining)
                return response
            except GatewayError as error:
                if not (found.again and await outage.endure(error)):
                    raise

    async def upload_media(self, input: AnyInput) -> GenerationInput:
        """Upload what of an input is still here; `submit`, `generate` and `estimate` begin with this.

        For who keeps an input to submit it under the same key in another process: its URLs are part of it.
        """
        if not isinstance(input, LocalInput):
            return input
        while len(input.urls) < len(input.media):
            response = await self.upload(input.media[len(input.urls)])
            input.urls.append(response.url)
        return input.message()

    async def create_upload(self, content_type: str) -> CreateUploadResponse:
        """An address to PUT media to past the gateway, with all the headers that it names."""
        response: CreateUploadResponse = await self._calls.unary(
            self._calls.uploads.CreateUpload, CreateUploadRequest(content_type=content_type)
        )
        return response


async def _attempt(calls: Calls, found: Media, timeout: float | None) -> Any:
    with found.open() as pieces:
        parts = UploadParts(found.header, pieces)
        try:
            answer = await answer_of(calls.uploads.UploadMedia(aiter(parts), timeout=timeout, metadata=calls.metadata))
        except grpc.RpcError as cause:
            if parts.failure is None:
                raise error_from_rpc(cause) from cause
        if parts.failure is not None:
            raise parts.failure
        return answer
