"""A bucket of anything that speaks S3, by `obstore` (docs/decisions/0019)."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from gateway.archive.ports import ArchiveError, Kept

PART = 5 << 20
"""Bytes of one part, the fewest that S3 allows, for parts are in memory. It takes 10,000: files of 52 GB."""
PARTS_AT_ONCE = 2
PIECE = 256 * 1024
ABORT_WITHIN = 5.0
"""Seconds for telling the store that an upload that was interrupted will not be completed."""


class Bucket:
    """The `ObjectStorage` in a bucket. Raises ArchiveError, also where the settings cannot be right.

    A file is there once its last part is, whole or not at all; what breaks off is begun anew. Credentials, region and
    endpoint are taken from the AWS_ variables of `environment`, as the AWS tools do.
    """

    def __init__(self, bucket: str, prefix: str, environment: Mapping[str, str], public_url: str | None = None) -> None:
        try:
            from obstore.exceptions import BaseError
            from obstore.store import S3Store
        except ModuleNotFoundError as error:
            raise ArchiveError("S3 needs the extra hfgateway[archive], which is not installed") from error
        self._name = f"s3://{bucket}/{prefix}".rstrip("/")
        self._base = public_url or self._name
        endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL") or ""
        try:
            self._store = S3Store(
                bucket,
                prefix=prefix or None,
                # Whoever writes http there means it; what is sent is signed, and holds no secret.
                client_options={
                    "allow_http": endpoint.startswith("http://"),
                    "connect_timeout": timedelta(seconds=10),
                    "timeout": timedelta(seconds=300),
                },
                retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=60)},
            )
        except (BaseError, ValueError) as error:
            raise ArchiveError(f"the AWS_ variables cannot be used ({type(error).__name__})") from error

    @property
    def name(self) -> str:
        """Its URL."""
        return self._name

    def url_of(self, key: str) -> str:
        """Where callers find the file."""
        return f"{self._base}/{quote(key)}"

    async def kept(self, key: str) -> Kept | None:
        """Nothing: parts of an upload that broke off are no file."""
        del key
        return None

    async def write(
        self, key: str, after: Kept | None, etag: str, content: AsyncIterator[bytes], content_type: str
    ) -> None:
        """Upload it in parts; where `content` ends with an error, or this is canceled, the upload is taken back."""
        import obstore

        assert after is None, "nothing was kept"
        stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        attributes = {"Content-Type": content_type} if content_type else None
        with _told():
            uploading = asyncio.ensure_future(
                obstore.put_async(
                    self._store,
                    key,
                    _until(stopped, content),
                    attributes=attributes,
                    chunk_size=PART,
                    max_concurrency=PARTS_AT_ONCE,
                )
            )
            try:
                await asyncio.shield(uploading)
            except asyncio.CancelledError:
                stopped.set_result(None)
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(ABORT_WITHIN):
                        await uploading
                raise

    async def written(self, key: str, after: Kept | None = None) -> AsyncIterator[bytes]:
        """The object as the store gives it to anybody."""
        import obstore

        assert after is None, "nothing was kept"
        with _told():
            found = await obstore.get_async(self._store, key)
            async for piece in found.stream(min_chunk_size=PIECE):
                yield bytes(piece)

    async def publish(self, key: str) -> None:
        """Nothing: it is there already."""

    async def discard(self, key: str) -> None:
        """Remove it."""
        await self.remove(key)

    async def remove(self, key: str) -> None:
        """Remove it; the store does not mind where there is none."""
        import obstore

        with _told(), contextlib.suppress(FileNotFoundError):
            await obstore.delete_async(self._store, key)

    async def probe(self) -> None:
        """Write, read and remove a small object."""
        key, content = f".probe-{secrets.token_hex(4)}", secrets.token_bytes(16)

        async def pieces() -> AsyncIterator[bytes]:
            yield content

        await self.write(key, None, "", pieces(), "")
        try:
            read = b"".join([piece async for piece in self.written(key)])
        finally:
            await self.remove(key)
        if read != content:
            raise ArchiveError("what was written cannot be read again")


async def _until(stopped: "asyncio.Future[None]", content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The content, ended with an error by the signal: that is what an upload is taken back for."""
    while True:
        piece = asyncio.ensure_future(anext(content, None))
        either: set[asyncio.Future[Any]] = {piece, stopped}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if stopped.done():
            piece.cancel()
            await asyncio.gather(piece, return_exceptions=True)
            raise ArchiveError("interrupted")
        found = piece.result()
        if found is None:
            return
        yield found


@contextmanager
def _told() -> Iterator[None]:
    """Errors by their kind alone: their texts hold requests and what the store said."""
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, OSError) as error:
        raise ArchiveError(f"the object store: {type(error).__name__}") from error
