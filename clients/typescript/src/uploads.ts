/** Uploads: through the gateway, or directly to the storage if the transport cannot stream requests. */

import { create } from "@bufbuild/protobuf";
import type { Calls } from "./calls.js";
import { GatewayError, InvalidInput, Unavailable } from "./errors.js";
import {
  type UploadMediaRequest,
  UploadMediaRequestSchema,
  type UploadMediaResponse,
  UploadMediaResponseSchema,
  UploadService,
} from "./gen/hfgateway/v1/upload_service_pb.js";
import type { CallOptions } from "./options.js";

const METHODS = UploadService.method;
/** The most bytes in a chunk. */
export const CHUNK_BYTES = 256 * 1024;

/** Media in memory (bytes, a Blob or a File), or a stream of it. */
export type UploadSource = Uint8Array | ArrayBuffer | Blob | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>;

/** Options of `upload`. */
export interface UploadOptions extends CallOptions {
  /** The media type, such as "image/png". Required unless the source has one. */
  contentType?: string | undefined;
  /** The size in bytes, which is verified. Default: the size of the source, if it is known. */
  size?: number | undefined;
}

/** The properties and the bytes of a source. */
export interface Media {
  readonly contentType: string;
  readonly size: number | undefined;
  readonly bytes: AsyncIterable<Uint8Array> | Blob;
}

/** How a transport uploads. */
export type Uploader = (calls: Calls, media: Media, options: CallOptions) => Promise<UploadMediaResponse>;

/** Returns the media of a source. A missing content type, or a size that is not a whole number, is a TypeError. */
export function mediaOf(source: UploadSource, options: UploadOptions): Media {
  const bytes = source instanceof ArrayBuffer || ArrayBuffer.isView(source) ? new Blob([source as BlobPart]) : source;
  const blob = bytes instanceof Blob ? bytes : undefined;
  const contentType = options.contentType ?? blob?.type;
  if (!contentType) throw new TypeError("an upload needs a contentType");
  const size = options.size ?? blob?.size;
  if (size !== undefined && !Number.isSafeInteger(size)) throw new TypeError("size must be a whole number");
  return { contentType, size, bytes: bytes as Media["bytes"] };
}

/** Uploads through the gateway with UploadMedia. Only the caller's timeout applies. */
export const uploadThrough: Uploader = async (calls, media, options) => {
  const deadline = calls.options.timers.now() + (options.timeoutMs ?? Number.POSITIVE_INFINITY);
  const broken: { reason?: unknown } = {};
  const requests = requestsOf(media, broken);
  try {
    let response: UploadMediaResponse | undefined;
    for await (response of calls.stream(METHODS.uploadMedia, requests, { signal: options.signal, deadline }));
    if (!response) throw new Unavailable("the gateway ended the call without a response", { code: "UNAVAILABLE" });
    return response;
  } catch (error) {
    throw "reason" in broken ? broken.reason : error;
  } finally {
    // If the gateway refused the upload early, close the source.
    requests.return().catch(() => {});
  }
};

/**
 * Yields the messages of an upload. If the source fails, the last one is a second header, which the gateway always
 * refuses: Node ends a stream before it resets it, so that the gateway might take the part that was sent for the whole.
 */
async function* requestsOf(
  media: Media,
  broken: { reason?: unknown },
): AsyncGenerator<UploadMediaRequest, void, undefined> {
  const { contentType, size } = media;
  const value = { contentType, ...(size !== undefined && { size: BigInt(size) }) };
  const header = create(UploadMediaRequestSchema, { part: { case: "header", value } });
  yield header;
  const source = chunks(media.bytes);
  try {
    for (;;) {
      // Keep the source's own error: the transport would replace it.
      const next = await source.next().catch((reason) => {
        broken.reason = reason;
      });
      if (!next) {
        yield header;
        throw broken.reason;
      }
      if (next.done) return;
      yield create(UploadMediaRequestSchema, { part: { case: "chunk", value: next.value } });
    }
  } finally {
    await source.return();
  }
}

/** Yields the bytes as the source does, except that it divides pieces that are longer than a chunk. */
async function* chunks(source: Media["bytes"]): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const piece of piecesOf(source)) {
    for (let start = 0; start < piece.length; start += CHUNK_BYTES) yield piece.subarray(start, start + CHUNK_BYTES);
  }
}

/** Yields the bytes as the source does. `interrupt` cancels a ReadableStream, also while it is silent. */
async function* piecesOf(source: Media["bytes"], interrupt?: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
  const bytes = source instanceof Blob ? source.stream() : source;
  if (!(bytes instanceof ReadableStream)) {
    yield* bytes;
    return;
  }
  // Some browsers have no async iteration of streams.
  const reader: ReadableStreamDefaultReader<Uint8Array> = bytes.getReader();
  interrupt?.addEventListener("abort", () => void reader.cancel().catch(() => {}), { once: true });
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel();
  }
}

/**
 * Uploads with CreateUpload and a PUT to the storage, which does not receive the API key. A stream is read into memory
 * first.
 */
export const uploadPast: Uploader = async (calls, media, options) => {
  const { signal, timeoutMs = Number.POSITIVE_INFINITY } = options;
  const deadline = calls.options.timers.now() + timeoutMs;
  const body = await calls.during((interrupt) => blobOf(media.bytes, interrupt), { signal, deadline });
  refuseWrongSize(media, body.size); // as the gateway does, which does not see these bytes
  const slot = await calls.unary(METHODS.createUpload, { contentType: media.contentType }, options);
  const headers = new Headers(slot.uploadHeaders);
  if (!headers.has("content-type")) headers.set("content-type", media.contentType);
  const put = (signal: AbortSignal) =>
    // A redirect would hand the media to another server, or be answered there although nothing is stored.
    fetch(slot.uploadUrl, { method: "PUT", headers, body, signal, credentials: "omit", redirect: "error" }).catch(
      (cause: unknown) => {
        throw new Unavailable("the connection to the storage failed", { code: "UNAVAILABLE", cause });
      },
    );
  const response = await calls.during(put, { signal, deadline });
  if (!response.ok) throw storageError(response.status);
  const { url, expireTime } = slot;
  return create(UploadMediaResponseSchema, { url, size: BigInt(body.size), expireTime });
};

function refuseWrongSize({ size }: Media, found: number): void {
  if (found && (size ?? found) === found) return;
  const message = found ? `size is ${size}, but the media has ${found} bytes` : "the media is empty";
  throw new InvalidInput(message, { code: "INVALID_ARGUMENT", reason: "INVALID_INPUT" });
}

function storageError(status: number): GatewayError {
  const message = `the storage returned HTTP ${status}`;
  return status < 500 ? new GatewayError(message) : new Unavailable(message, { code: "UNAVAILABLE" });
}

/** Reads a source into memory. `interrupt` ends that at once, although the source may be silent. */
async function blobOf(bytes: Media["bytes"], interrupt: AbortSignal): Promise<Blob> {
  if (bytes instanceof Blob) return bytes;
  if (interrupt.aborted) {
    if (bytes instanceof ReadableStream) bytes.cancel().catch(() => {});
    throw interrupt.reason;
  }
  const interrupted = new Promise<never>((_, reject) => {
    interrupt.addEventListener("abort", () => reject(interrupt.reason), { once: true });
  });
  const pieces: BlobPart[] = [];
  const source = piecesOf(bytes, interrupt);
  try {
    for (;;) {
      const { done, value } = await Promise.race([source.next(), interrupted]);
      if (done) return new Blob(pieces);
      pieces.push(value.slice() as BlobPart);
    }
  } finally {
    source.return().catch(() => {});
  }
}
