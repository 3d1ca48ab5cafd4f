/** Files of this machine as media. */

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { CHUNK_BYTES, type Media, mediaOf, type UploadOptions, type UploadSource } from "./uploads.js";

/** In Node also a file, by its path or URL. */
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

/** The media that a source is; a file tells its type by its name. */
export async function mediaOfFile(source: NodeUploadSource, options: UploadOptions): Promise<Media> {
  if (typeof source !== "string" && !(source instanceof URL)) return mediaOf(source, options);
  const path = source instanceof URL ? fileURLToPath(source) : source;
  const contentType = options.contentType ?? CONTENT_TYPES[extname(path).toLowerCase()];
  const { size } = await stat(path);
  return mediaOf(readWhenAsked(path), { size, ...options, contentType });
}

/** The bytes of a file that is open for no longer than they are read. */
async function* readWhenAsked(path: string): AsyncGenerator<Uint8Array, void, undefined> {
  yield* createReadStream(path, { highWaterMark: CHUNK_BYTES });
}
