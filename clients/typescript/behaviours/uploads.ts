/** Uploads: over gRPC through the gateway, otherwise directly to the storage. */

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient, dop, InvalidInput, type UploadMediaResponse } from "@hfgateway/client";
import { type Behaviours, PATIENCE_MS, type Stage, unique } from "./stage.js";

/** A PNG with one grey pixel. */
const PNG = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==",
  "base64",
);
const LARGE = new Uint8Array(3 * 1024 * 1024);

function stored(answer: UploadMediaResponse, size: number): void {
  assert.match(answer.url, /^http/);
  assert.equal(answer.size, BigInt(size));
}

async function* pieces(): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < LARGE.length; start += 100_000) yield LARGE.subarray(start, start + 100_000);
}

export const UPLOADS: Behaviours = {
  async upload_bytes(stage) {
    const answer = await stage.client.upload(PNG, { contentType: "image/png", timeoutMs: PATIENCE_MS });
    stored(answer, PNG.length);
    const { generation } = await stage.client.submit(dop(unique("zoom in"), answer.url));
    assert(generation.acceptTime);
  },

  async upload_stream(stage) {
    const options = { contentType: "video/mp4", timeoutMs: PATIENCE_MS };
    stored(await stage.client.upload(pieces(), options), LARGE.length);
    stored(await stage.client.upload(new Blob([LARGE]).stream(), options), LARGE.length);
    if (stage.transport === "grpc") await uploadedFile(stage);
  },

  async upload_refused(stage) {
    const upload = stage.client.upload(Buffer.from("words"), { contentType: "text/html", timeoutMs: PATIENCE_MS });
    await assert.rejects(upload, (error) => {
      assert(error instanceof InvalidInput);
      assert(["INPUT_REFUSED", "INVALID_INPUT"].includes(error.reason), error.reason);
      return true;
    });
  },

  async create_upload(stage) {
    const { url, uploadUrl, uploadHeaders } = await stage.client.createUpload("image/png");
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const put = await fetch(uploadUrl, { method: "PUT", headers: uploadHeaders, body: PNG, signal });
    assert(put.ok, `${put.status}`);
    const read = await fetch(url, { signal });
    assert(PNG.equals(Buffer.from(await read.arrayBuffer())));
  },
};

async function uploadedFile(stage: Stage): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "hfgateway-"));
  try {
    const path = join(folder, "media.mp4");
    await writeFile(path, LARGE);
    await using client = createClient({ address: process.env.HFG_ADDRESS, apiKey: stage.apiKey });
    stored(await client.upload(path, { timeoutMs: PATIENCE_MS }), LARGE.length);
  } finally {
    await rm(folder, { recursive: true });
  }
}
