"""Stores archived files in a bucket of an S3-compatible store, with `obstore` (docs/decisions/0019)."""

import asyncio
import contextlib
import os
import re
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from gateway.archive.ports import ArchiveError, Checkpoint
from gateway.settings.extras import missing

PART_SIZE = 5 << 20
"""Bytes of one part: the minimum of S3, because parts are held in memory. With 10,000 parts a file may have 52 GB."""
MAX_CONCURRENT_PARTS = 2
RANGE_SIZE = 1 << 20
"""Bytes of one request when an object is read back."""
REQUEST_TIMEOUT = 300.0
"""Seconds for one request. A part may take that long over a slow line that several uploads share."""
ABORT_TIMEOUT = 2.0
"""Seconds for aborting an interrupted upload at the store. Less than a drain waits for the archiver."""
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_ENDPOINT_FORM = re.compile(r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?")
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_REGION_FORM = re.compile("[A-Za-z0-9_-]+")
_CAUSES = re.compile(
    r"(?<=status code: )\d{3}|(?<=<Code>)\w{1,40}(?=</Code>)|(?<=\(code: )\w{1,40}(?=\))"
    r"|incorrectly configured region|Connection refused|Connection reset|dns error|TimedOut|certificate"
)
"""The parts of an error's message that may be shown. The rest contains the request and the response."""


class Bucket:
    """An `ObjectStorage` in a bucket. Raises ArchiveError, also if the settings are invalid.

    A file appears as a whole with its last part. An interrupted upload starts again from the beginning. Credentials,
    region and endpoint come from the AWS_ variables of `environment`, as in the AWS tools.
    """

    def __init__(self, bucket: str, prefix: str, environment: Mapping[str, str]) -> None:
        try:
            from obstore.exceptions import BaseError
            from obstore.store import S3Store
        except ModuleNotFoundError as error:
            raise ArchiveError(f"S3 {missing('archive')}") from error
        self._name = f"s3://{bucket}/{prefix}".rstrip("/")
        _check(environment)
        endpoint = next((environment[name] for name in _ENDPOINTS if environment.get(name)), "")
        try:
            self._store = S3Store(
                bucket,
                prefix=prefix or None,
                # An http endpoint is a choice of the operator. Requests are signed and contain no secret.
                client_options={
                    "allow_http": endpoint.startswith("http://"),
                    "connect_timeout": timedelta(seconds=10),
                    "timeout": timedelta(seconds=REQUEST_TIMEOUT),
                },
                retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=60)},
            )
        except (BaseError, ValueError) as error:
            raise ArchiveError(f"the AWS_ variables cannot be used ({type(error).__name__})") from error

    @property
    def name(self) -> str:
        """The URL of the bucket and prefix."""
        return self._name

    async def checkpoint(self, key: str) -> Checkpoint | None:
        """Return None: an interrupted upload cannot be resumed."""
        del key
        return None

    async def write(
        self, key: str, after: Checkpoint | None, etag: str, content: AsyncIterator[bytes], content_type: str
    ) -> None:
        """Upload a file in parts. If `content` raises or the call is canceled, the upload is aborted at the store."""
        import obstore

        assert after is None, "there are no checkpoints"
        stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        attributes = {"Content-Type": content_type} if content_type else None
        with _as_archive_errors():
            uploading = asyncio.ensure_future(
                obstore.put_async(
                    self._store,
                    key,
                    _until(stopped, content),
                    attributes=attributes,
                    chunk_size=PART_SIZE,
                    max_concurrency=MAX_CONCURRENT_PARTS,
                )
            )
            try:
                await asyncio.shield(uploading)
            except asyncio.CancelledError:
                stopped.set_result(None)
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(ABORT_TIMEOUT):
                        await uploading
                raise

    async def read_back(self, key: str, after: Checkpoint | None = None) -> AsyncIterator[bytes]:
        """Yield the content of the object.

        Each range is a separate request, because a request has a time limit and the reader may be slow on purpose.
        """
        import obstore

        assert after is None, "there are no checkpoints"
        with _as_archive_errors():
            size = (await obstore.head_async(self._store, key))["size"]
            for start in range(0, size, RANGE_SIZE):
                end = min(start + RANGE_SIZE, size)
                yield bytes(await obstore.get_range_async(self._store, key, start=start, end=end))

    async def publish(self, key: str) -> None:
        """Do nothing: a file is published by its upload."""

    async def discard(self, key: str) -> None:
        """Remove the object, if the bucket allows it. An interrupted upload leaves none."""
        with contextlib.suppress(ArchiveError):
            await self.remove(key)

    async def remove(self, key: str) -> None:
        """Remove the object, if it exists. A 404 is an error: it means that the bucket is missing, not the object."""
        import obstore

        with _as_archive_errors():
            await obstore.delete_async(self._store, key)

    async def probe(self) -> None:
        """Write, read and remove a small object. Raises ArchiveError."""
        key, content = f".probe-{secrets.token_hex(4)}", secrets.token_bytes(16)

        async def chunks() -> AsyncIterator[bytes]:
            yield content

        await self.write(key, None, "", chunks(), "")
        try:
            read = b"".join([piece async for piece in self.read_back(key)])
        finally:
            await self.remove(key)
        if read != content:
            raise ArchiveError("a file that was written could not be read back")


def _check(environment: Mapping[str, str]) -> None:
    """Raise ArchiveError for variables with which the library would panic; unset empty ones, which it would use."""
    for name in [name for name, text in environment.items() if name.startswith("AWS_") and not text]:
        os.environ.pop(name, None)
    for names, form, what in (
        (_ENDPOINTS, _ENDPOINT_FORM, "an http or https URL, such as http://minio:9000"),
        (_REGIONS, _REGION_FORM, "the name of a region"),
    ):
        for name in names:
            if (text := environment.get(name)) and not form.fullmatch(text):
                raise ArchiveError(f"{name} must be {what}")


async def _until(stopped: "asyncio.Future[None]", content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the content; raise ArchiveError once `stopped` is set, which makes obstore abort the upload."""
    while True:
        piece = asyncio.ensure_future(anext(content, None))
        either: set[asyncio.Future[Any]] = {piece, stopped}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if stopped.done():
            piece.cancel()
            await asyncio.gather(piece, return_exceptions=True)
            raise ArchiveError("interrupted")
        chunk = piece.result()
        if chunk is None:
            return
        yield chunk


@contextmanager
def _as_archive_errors() -> Iterator[None]:
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, OSError) as error:
        causes = ", ".join(dict.fromkeys(_CAUSES.findall(str(error))))
        raise ArchiveError(f"the object store: {type(error).__name__}{f' ({causes})' if causes else ''}") from error
