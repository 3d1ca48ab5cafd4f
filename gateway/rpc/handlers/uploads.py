"""The handlers of UploadService: media for Higgsfield's storage, sent through the gateway or directly."""

from collections.abc import AsyncIterator

from gateway.errors import invalid_field
from gateway.rpc.call import Call
from gateway.rpc.messages.wire import timestamp
from gateway.uploads.service import MAX_CHUNK_BYTES, Uploads
from hfgateway.v1 import upload_service_pb2 as pb


class UploadHandlers:
    """Handles the RPCs of the service, independent of the transport."""

    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads

    async def upload_media(self, requests: AsyncIterator[pb.UploadMediaRequest], call: Call) -> pb.UploadMediaResponse:
        """Upload a file: a header, followed by its bytes in chunks."""
        first = await anext(requests, None)
        if first is None or first.WhichOneof("part") != "header":
            raise invalid_field("header", "must come first")
        size = first.header.size if first.header.HasField("size") else None
        stored = await self._uploads.store(call.tenant, first.header.content_type, size, _chunks(requests, call))
        return pb.UploadMediaResponse(url=stored.url, size=stored.size, expire_time=timestamp(stored.expire_time))

    async def create_upload(self, request: pb.CreateUploadRequest, call: Call) -> pb.CreateUploadResponse:
        """Return a URL to which the client uploads a file directly."""
        offered = await self._uploads.offer(call.tenant, request.content_type)
        slot = offered.slot
        return pb.CreateUploadResponse(
            url=slot.url,
            upload_url=slot.upload_url,
            upload_headers=slot.headers,
            upload_expire_time=timestamp(offered.upload_expire_time),
            expire_time=timestamp(offered.expire_time),
        )


async def _chunks(requests: AsyncIterator[pb.UploadMediaRequest], call: Call) -> AsyncIterator[bytes]:
    async for request in requests:
        call.check()  # the key may have been revoked
        match request.WhichOneof("part"):
            case "header":
                raise invalid_field("header", "comes once, first")
            case "chunk" if len(request.chunk) > MAX_CHUNK_BYTES:
                raise invalid_field("chunk", f"must be at most {MAX_CHUNK_BYTES} bytes")
            case "chunk" if request.chunk:
                yield request.chunk
