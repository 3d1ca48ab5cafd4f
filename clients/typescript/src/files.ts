/** Local files as media. */

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { CHUNK_BYTES, type Media, mediaOf, type UploadOptions, type UploadSource } from "./uploads.js";

/** In Node, a source can also be a file, given by its path or URL. */
export type NodeUploadSource = UploadSource | string | URL;

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  ".gif": "image/gif",
  ".jpeg": "image/jpeg",
  ".jpg": "image/jpeg",
  ".mp4": "video/mp4",
  ".png": "image/png",
  ".wav": "audio/wav",
  ".webp": "image/webp",
};

/** Returns the media of a source. The content type of a file is derived from its extension. */
export async function mediaOfFile(source: NodeUploadSource, options: UploadOptions): Promise<Media> {
  if (typeof source !== "string" && !(source instanceof URL)) return mediaOf(source, options);
  const path = source instanceof URL ? fileURLToPath(source) : source;
  const contentType = options.contentType ?? CONTENT_TYPES[extname(path).toLowerCase()];
  const found = await stat(path);
  const size = found.isFile() ? found.size : undefined; // a pipe has none
  return mediaOf(readWhenAsked(path), { contentType, size: options.size ?? size });
}

/** Yields the bytes of a file. The file is open only while it is read. */
async function* readWhenAsked(path: string): AsyncGenerator<Uint8Array, void, undefined> {
  yield* createReadStream(path, { highWaterMark: CHUNK_BYTES });
}
