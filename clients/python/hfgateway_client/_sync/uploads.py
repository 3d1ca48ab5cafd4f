# Generated from _async by tools/unasync.py. DO NOT EDIT!
"""Uploads of media, which are retried if the source can be read again."""

from __future__ import annotations

from typing import Any

from hfgateway.v1.generation_input_pb2 import GenerationInput
from hfgateway.v1.upload_service_pb2 import CreateUploadRequest, CreateUploadResponse, UploadMediaResponse
from hfgateway_client._sync.calls import Calls, Outage
from hfgateway_client.attempts import received
from hfgateway_client.errors import GatewayError
from hfgateway_client.inputs import AnyInput, LocalInput
from hfgateway_client.uploads import Media, UploadParts, UploadSource, media


class UploadMethods:
    """The methods for media in Higgsfield's storage."""

    _calls: Calls

    def upload(
        self,
        source: UploadSource,
        content_type: str | None = None,
        *,
        size: int | None = None,
        format: str = "png",
        timeout: float | None = None,
    ) -> UploadMediaResponse:
        """Upload media through the gateway to Higgsfield's storage.

        Uploads are free. A failed upload has no effect. It is retried if the source can be read again: bytes, a path, a
        Pillow image or a seekable file, but not an iterable. Retries end after ``RetryPolicy.repeat_calls_for``, or
        after the timeout of the client if that is not set.

        Args:
            source: Bytes, the path of a file, an open binary file (read from its current position), a Pillow image, or
                an iterable of bytes. Only the client for asyncio accepts an asynchronous iterable.
            content_type: The media type, such as "video/mp4". Default: determined from the name of the file, or from
                the first bytes of bytes and seekable files.
            size: The size in bytes of an iterable or a file, if you know it. The upload is then faster, and fails if
                the number of bytes differs. Default: determined if possible. Ignored for other sources.
            format: The format in which a Pillow image is encoded, such as "png" or "jpeg". JPEG drops transparency.
            timeout: The timeout in seconds, including retries. Default: no limit.

        Returns:
            The ``url`` for inputs, the ``size`` in bytes, and the ``expire_time`` at which Higgsfield deletes the
            media, 7 days after the upload.

        Raises:
            InvalidInput: The media are empty or larger than 5 GB, or the number of bytes is not ``size``.
            InputRefused: Higgsfield does not accept the content type.
            UpstreamUnavailable: Higgsfield or its storage did not accept the upload.
            ValueError: ``content_type`` is not set and cannot be determined.
            OSError: A file cannot be read.
            TypeError: The source is an asynchronous iterable, and the client is not for asyncio.
            Exception: Any exception that the source raises while it is read.
        """
        upload = media(source, content_type, size, format)
        policy, deadline = self._calls.policy, self._calls.deadline(timeout)
        patience = self._calls.timeout if policy.repeat_calls_for is None else policy.repeat_calls_for
        outage = Outage(self._calls, patience if upload.rereadable else 0.0, deadline)
        while True:
            try:
                return self._attempt(upload, deadline.left())
            except GatewayError as error:
                outage.wait_to_retry(error)

    def upload_media(self, input: AnyInput) -> GenerationInput:
        """Upload the local media of an input, and return the input with their URLs.

        `submit`, `generate` and `estimate` do this first. Call it to store the input before you submit it, so that
        another process can retry with the same input and idempotency key. An input without local media is returned
        unchanged. Media that are already uploaded are not uploaded again.

        Raises:
            GatewayError: As for `upload`.
            ValueError: The type of the media cannot be determined.
            OSError: A file cannot be read.
        """
        if not isinstance(input, LocalInput):
            return input
        for place in range(len(input.media)):
            if place not in input.urls:
                response = self.upload(input.source(place))
                input.urls.setdefault(place, response.url)  # another call with this input may have been faster
        return input.message()

    def create_upload(self, content_type: str) -> CreateUploadResponse:
        """Return a URL to which media can be uploaded without passing through the gateway.

        Send the media in a PUT request to ``upload_url`` with all ``upload_headers``, and without credentials.

        Args:
            content_type: The media type, such as "video/mp4".

        Returns:
            The ``url`` for inputs, which works once the media are uploaded; the ``upload_url``, its ``upload_headers``
            and its ``upload_expire_time``; and the ``expire_time`` at which Higgsfield deletes the media.

        Raises:
            InputRefused: Higgsfield does not accept the content type.
        """
        return self._calls.unary(CreateUploadRequest(content_type=content_type))

    def _attempt(self, upload: Media, timeout: float | None) -> Any:
        with upload.open() as pieces:
            parts = UploadParts(upload.header, pieces)
            try:
                with self._calls.attempt():
                    call = self._calls.start(iter(parts), timeout, rpc="UploadMedia")
                    result = received(call)
            except GatewayError:
                if parts.failure is None:
                    raise
            if parts.failure is not None:
                raise parts.failure
            return result
