import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import * as http from "node:http";
import * as http2 from "node:http2";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { pathToFileURL } from "node:url";
import { fromBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import {
  ClientClosed,
  createClient,
  DeadlineExceeded,
  GatewayError,
  InputRefused,
  InvalidInput,
  Unavailable,
} from "@hfgateway/client";
import { type UploadMediaRequest, UploadMediaRequestSchema } from "@hfgateway/client/stubs";
import { collected, event, hang, refusal, type Script, serve } from "./support.js";

const MEDIA = Uint8Array.from({ length: 600_000 }, (_, index) => index % 251);

/** A gateway that receives uploads, and what it received. */
function taking(): Script & { headers: { contentType: string; size: bigint | undefined }[]; chunks: Uint8Array[] } {
  const headers: { contentType: string; size: bigint | undefined }[] = [];
  const chunks: Uint8Array[] = [];
  const uploadMedia = async (parts: AsyncIterable<UploadMediaRequest>) => {
    for await (const { part } of parts) {
      if (part.case === "header") headers.push({ contentType: part.value.contentType, size: part.value.size });
      else if (part.case === "chunk") chunks.push(part.value);
    }
    return { url: "https://storage.example/1", size: BigInt(Buffer.concat(chunks).length) };
  };
  return { uploads: { uploadMedia }, headers, chunks };
}

describe("uploads through the gateway", { timeout: 100_000 }, () => {
  async function* pieces() {
    for (let start = 0; start < MEDIA.length; start += 70_000) yield MEDIA.subarray(start, start + 70_000);
  }
  const sources = {
    bytes: () => MEDIA,
    "an ArrayBuffer": () => MEDIA.buffer,
    "a Blob": () => new Blob([MEDIA]),
    "a File": () => new File([MEDIA], "media.png"),
    "a ReadableStream": () => new Blob([MEDIA]).stream(),
    pieces,
  };
  for (const [name, source] of Object.entries(sources)) {
    test(`from ${name}: in chunks of at most 256 KiB, with the size if it is known`, async (t) => {
      const script = taking();
      const { gateway } = await serve(t, "grpc", script);
      await using client = createClient({ address: gateway.address });
      const stored = await client.upload(source(), { contentType: "image/png" });
      assert.equal(stored.url, "https://storage.example/1");
      assert.equal(stored.size, 600_000n);
      const known = name === "a ReadableStream" || name === "pieces" ? undefined : 600_000n;
      assert.deepEqual(script.headers, [{ contentType: "image/png", size: known }]);
      assert(script.chunks.every(({ length }) => length > 0 && length <= 262_144));
      assert(Buffer.concat(script.chunks).equals(MEDIA));
    });
  }

  test("from a file, by its path or URL, with the type from its extension", async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "hfgateway-"));
    t.after(() => rm(folder, { recursive: true }));
    const path = join(folder, "media.WEBP");
    await writeFile(path, MEDIA);
    const script = taking();
    const { gateway } = await serve(t, "grpc", script);
    await using client = createClient({ address: gateway.address });
    await client.upload(path);
    await client.upload(pathToFileURL(path), { contentType: "video/mp4", size: undefined });
    assert.deepEqual(script.headers, [
      { contentType: "image/webp", size: 600_000n },
      { contentType: "video/mp4", size: 600_000n },
    ]);
    assert(Buffer.concat(script.chunks).equals(Buffer.concat([MEDIA, MEDIA])));
    await assert.rejects(client.upload(join(folder, "missing.png")), { code: "ENOENT" });
    await assert.rejects(client.upload(folder), TypeError);
  });

  test("from a pipe, which has no size, to its end", async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "hfgateway-"));
    t.after(() => rm(folder, { recursive: true }));
    const path = join(folder, "pipe.png");
    execFileSync("mkfifo", [path]);
    const script = taking();
    const { gateway } = await serve(t, "grpc", script);
    await using client = createClient({ address: gateway.address });
    await Promise.all([client.upload(path), writeFile(path, MEDIA)]);
    assert.deepEqual(script.headers, [{ contentType: "image/png", size: undefined }]);
    assert(Buffer.concat(script.chunks).equals(MEDIA));
  });

  test("a Blob has its type; a missing type is a TypeError", async (t) => {
    const script = taking();
    const { client } = await serve(t, "grpc", script);
    await client.upload(new Blob(["RIFF"], { type: "audio/wav" }));
    assert.deepEqual(script.headers, [{ contentType: "audio/wav", size: 4n }]);
    await assert.rejects(client.upload(new Uint8Array(1)), TypeError);
  });

  test("empty media can be uploaded", async (t) => {
    const script = taking();
    const { client } = await serve(t, "grpc", script);
    await client.upload(new Uint8Array(0), { contentType: "image/png" });
    assert.deepEqual([script.headers.length, script.chunks.length], [1, 0]);
  });

  test("an error of the source is rethrown, and the stream is canceled", async (t) => {
    const left = event();
    const { client } = await serve(t, "grpc", {
      uploads: {
        uploadMedia: async (parts, context) => {
          context.signal.addEventListener("abort", () => left.resolve());
          await collected(parts);
          return hang(context);
        },
      },
    });
    const mistake = new Error("the disk is gone");
    async function* broken() {
      yield MEDIA;
      throw mistake;
    }
    await assert.rejects(client.upload(broken(), { contentType: "image/png" }), (error) => error === mistake);
    await left.promise;
  });

  test("the part that was sent before an error of the source does not count as the whole", async (t) => {
    const body = event<Buffer>();
    const server = http2.createServer((request) => {
      const pieces: Buffer[] = [];
      request.on("data", (piece: Buffer) => pieces.push(piece));
      request.on("end", () => body.resolve(Buffer.concat(pieces)));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => server.close());
    await using client = createClient({ address: `127.0.0.1:${(server.address() as AddressInfo).port}` });
    async function* broken() {
      yield MEDIA.subarray(0, 1000);
      throw new Error("the disk is gone");
    }
    await assert.rejects(client.upload(broken(), { contentType: "image/png" }), /the disk is gone/);
    const parts: unknown[] = [];
    for (let rest = await body.promise; rest.length > 0; rest = rest.subarray(5 + rest.readUInt32BE(1)))
      parts.push(fromBinary(UploadMediaRequestSchema, rest.subarray(5, 5 + rest.readUInt32BE(1))).part.case);
    // The gateway refuses a second header.
    assert.deepEqual(parts, ["header", "chunk", "header"]);
  });

  test("an early refusal ends the upload and closes the source", async (t) => {
    let attempts = 0;
    const { client, timers } = await serve(t, "grpc", {
      uploads: {
        uploadMedia: () => {
          attempts++;
          throw refusal(Code.InvalidArgument, "INPUT_REFUSED");
        },
      },
    });
    const closed = event();
    async function* endless() {
      try {
        for (;;) {
          yield MEDIA;
          await new Promise(setImmediate);
        }
      } finally {
        closed.resolve();
      }
    }
    await assert.rejects(client.upload(endless(), { contentType: "text/html" }), InputRefused);
    await closed.promise;
    assert.deepEqual([attempts, timers.slept], [1, []]);
  });

  test("an early refusal cancels a stream, also while nothing more can be sent", async (t) => {
    const server = http2.createServer((request, response) => {
      // Reads nothing, so that the window of the stream is full.
      request.once("readable", () => {
        response.stream.respond({ "content-type": "application/grpc", "grpc-status": 3 }, { endStream: true });
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => server.close());
    await using client = createClient({ address: `127.0.0.1:${(server.address() as AddressInfo).port}` });
    const canceled = event();
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(MEDIA),
      cancel: () => canceled.resolve(),
    });
    await assert.rejects(client.upload(endless, { contentType: "image/png" }), InvalidInput);
    await canceled.promise;
  });

  test("the caller's timeout ends it", async (t) => {
    const { client } = await serve(t, "grpc", { uploads: { uploadMedia: (_, context) => hang(context) } });
    await assert.rejects(client.upload(MEDIA, { contentType: "image/png", timeoutMs: 50 }), DeadlineExceeded);
  });

  test("an immediate refusal is the gateway's error, not the source's", async (t) => {
    // Responds while the request is still open, as gRPC servers do; connect's server reads it first.
    const server = http2.createServer((_, response) => {
      response.stream.respond({ "content-type": "application/grpc", "grpc-status": 12 }, { endStream: true });
      // Newer versions of Node do not send a response before a reset that follows at once.
      setImmediate(() => response.stream.close(http2.constants.NGHTTP2_NO_ERROR));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => server.close());
    await using client = createClient({ address: `127.0.0.1:${(server.address() as AddressInfo).port}` });
    for (const size of Array.from({ length: 20 }, (_, index) => index * 50_000)) {
      await assert.rejects(client.upload(new Uint8Array(size), { contentType: "image/png" }), (error) => {
        assert(error instanceof GatewayError);
        assert.equal(error.code, "UNIMPLEMENTED");
        return true;
      });
    }
  });

  for (const size of [2.5, Number.NaN, 2 ** 70]) {
    test(`the size ${size} is the caller's mistake, and no failed connection`, async (t) => {
      const { client } = await serve(t, "grpc", taking());
      await assert.rejects(client.upload(MEDIA, { contentType: "image/png", size }), TypeError);
    });
  }

  test("a broken upload is not retried", async (t) => {
    let attempts = 0;
    const { client, gateway, timers } = await serve(t, "grpc", {
      uploads: {
        uploadMedia: (_, context) => {
          attempts++;
          gateway.cut();
          return hang(context);
        },
      },
    });
    await assert.rejects(client.upload(MEDIA, { contentType: "image/png" }), Unavailable);
    assert.deepEqual([attempts, timers.slept], [1, []]);
  });

  test("the caller's signal ends it with its own reason", async (t) => {
    const arrived = event();
    const { client } = await serve(t, "grpc", {
      uploads: {
        uploadMedia: (_, context) => {
          arrived.resolve();
          return hang(context);
        },
      },
    });
    const controller = new AbortController();
    const upload = client.upload(MEDIA, { contentType: "image/png", signal: controller.signal });
    await arrived.promise;
    controller.abort(new Error("enough"));
    await assert.rejects(upload, /enough/);
  });
});

test("an upload that the caller aborts is reset, and not ended before", { timeout: 100_000 }, async (t) => {
  const [DATA, RST_STREAM, SETTINGS, END_STREAM] = [0, 3, 4, 1];
  const ends = event<boolean[]>(); // whether each frame with data ends the stream
  const server = createServer((socket) => {
    const found: boolean[] = [];
    let rest = Buffer.alloc(0);
    let skipped = 24; // the preface of HTTP/2
    socket.on("error", () => {});
    socket.on("data", (piece: Buffer) => {
      rest = Buffer.concat([rest, piece]);
      while (rest.length >= skipped + 9) {
        const end = skipped + 9 + rest.readUIntBE(skipped, 3);
        if (rest.length < end) return;
        const [type, flags] = [rest[skipped + 3], rest[skipped + 4]!];
        if (type === DATA) found.push((flags & END_STREAM) !== 0);
        if (type === RST_STREAM) ends.resolve(found);
        rest = rest.subarray(end);
        skipped = 0;
      }
    });
    socket.write(Buffer.from([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  await using client = createClient({ address: `127.0.0.1:${(server.address() as AddressInfo).port}` });
  const controller = new AbortController();
  async function* source() {
    yield MEDIA.subarray(0, 1000);
    controller.abort();
    yield MEDIA;
  }
  const { signal } = controller;
  await assert.rejects(client.upload(source(), { contentType: "image/png", signal }), { name: "AbortError" });
  assert.deepEqual(await ends.promise, [false, false]); // the header and a chunk
});

test("an upload that a proxy ends with OK and without a response is Unavailable", { timeout: 100_000 }, async (t) => {
  const server = http2.createServer((request, response) => {
    request.resume();
    response.writeHead(200, { "content-type": "application/grpc+proto" });
    response.addTrailers({ "grpc-status": "0" });
    response.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  await using client = createClient({ address: `127.0.0.1:${(server.address() as AddressInfo).port}` });
  await assert.rejects(client.upload(MEDIA, { contentType: "image/png" }), Unavailable);
});

describe("uploads directly to the storage", { timeout: 100_000 }, () => {
  /** A storage that responds with a status, and the PUTs that it received. */
  async function storage(t: TestContext, status: number, headers: http.OutgoingHttpHeaders = {}) {
    const puts: { url: string | undefined; headers: http.IncomingHttpHeaders; body: Buffer }[] = [];
    const server = http.createServer(async (request, response) => {
      const body = Buffer.concat(await collected<Buffer>(request));
      puts.push({ url: request.url, headers: request.headers, body });
      response.writeHead(status, headers).end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => server.close());
    return { puts, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/slot?signature=1` };
  }

  const create = (uploadUrl: string, uploadHeaders: Record<string, string> = {}): Script => ({
    uploads: { createUpload: () => ({ url: "https://storage.example/1", uploadUrl, uploadHeaders }) },
  });

  for (const transport of ["connect", "grpc-web"] as const) {
    for (const [name, source] of [
      ["bytes", MEDIA],
      ["a stream", new Blob([MEDIA]).stream()],
    ] as const) {
      test(`${name} over ${transport} use the URL and headers from the gateway, without the key`, async (t) => {
        const { puts, url } = await storage(t, 200);
        const signed = { "content-type": "image/x-signed", "x-signed": "yes" };
        const { client } = await serve(t, transport, create(url, signed), { apiKey: "hfg_secret" });
        const stored = await client.upload(source, { contentType: "image/png" });
        assert.deepEqual([stored.url, stored.size], ["https://storage.example/1", 600_000n]);
        const [put] = puts;
        assert.equal(put?.url, "/slot?signature=1");
        assert.equal(put.headers["content-type"], "image/x-signed");
        assert.equal(put.headers["x-signed"], "yes");
        assert.equal(put.headers.authorization, undefined);
        assert(put.body.equals(MEDIA));
      });
    }
  }

  test("the content type is sent even if the gateway returned no header for it", async (t) => {
    const { puts, url } = await storage(t, 200);
    const { client } = await serve(t, "connect", create(url));
    await client.upload(MEDIA, { contentType: "image/png" });
    assert.equal(puts[0]?.headers["content-type"], "image/png");
  });

  test("media that are empty or do not have the given size are not uploaded", async (t) => {
    const { puts, url } = await storage(t, 200);
    const { client } = await serve(t, "connect", create(url));
    const options = { contentType: "image/png" };
    await assert.rejects(client.upload(new Uint8Array(), options), InvalidInput);
    await assert.rejects(client.upload(new Blob([MEDIA]).stream(), { ...options, size: 600_001 }), InvalidInput);
    assert.deepEqual(puts, []);
    await client.upload(new Blob([MEDIA]).stream(), { ...options, size: 600_000 });
    assert.equal(puts.length, 1);
  });

  test("a refusal by the storage is an error, and is not retried", async (t) => {
    const { puts, url } = await storage(t, 403);
    const { client } = await serve(t, "connect", create(url));
    await assert.rejects(client.upload(MEDIA, { contentType: "image/png" }), (error) => {
      assert(error instanceof GatewayError && !(error instanceof Unavailable));
      assert.match(error.message, /403/);
      assert.doesNotMatch(error.message, /signature/);
      return true;
    });
    assert.equal(puts.length, 1);
  });

  for (const status of [303, 307]) {
    test(`a redirect with the status ${status} is not followed, and no upload`, async (t) => {
      const other = await storage(t, 200);
      const { puts, url } = await storage(t, status, { location: other.url });
      const { client } = await serve(t, "connect", create(url));
      await assert.rejects(client.upload(MEDIA, { contentType: "image/png" }), Unavailable);
      assert.equal(puts.length, 1);
      assert.deepEqual(other.puts, []);
    });
  }

  test("an unreachable storage: Unavailable", async (t) => {
    const { client } = await serve(t, "connect", create("http://127.0.0.1:1/slot"));
    await assert.rejects(client.upload(MEDIA, { contentType: "image/png" }), Unavailable);
  });

  test("an error of the source is rethrown", async (t) => {
    const { client } = await serve(t, "connect", create("http://127.0.0.1:9/slot"));
    const mistake = new Error("the disk is gone");
    const broken = new ReadableStream<Uint8Array>({ pull: () => Promise.reject(mistake) });
    await assert.rejects(client.upload(broken, { contentType: "image/png" }), (error) => error === mistake);
  });

  test("the caller's signal and close end the reading of a silent source, and cancel it", async (t) => {
    const { client } = await serve(t, "connect", create("http://127.0.0.1:9/slot"));
    const upload = (signal?: AbortSignal) => {
      const canceled = event();
      const silent = new ReadableStream<Uint8Array>({ cancel: () => canceled.resolve() });
      return { uploading: client.upload(silent, { contentType: "image/png", signal }), canceled: canceled.promise };
    };
    const controller = new AbortController();
    const [first, second] = [upload(controller.signal), upload()];
    controller.abort();
    await assert.rejects(first.uploading, { name: "AbortError" });
    await first.canceled;
    await Promise.all([client.close(), assert.rejects(second.uploading, ClientClosed)]);
    await second.canceled;
  });

  test("a timeout ends the reading of a silent source, and leaves no alarm", async (t) => {
    const { client, timers } = await serve(t, "connect", create("http://127.0.0.1:9/slot"));
    const silent = new ReadableStream<Uint8Array>();
    const uploading = client.upload(silent, { contentType: "image/png", timeoutMs: 500 });
    while (timers.alarms.size === 0) await new Promise(setImmediate);
    for (const { ms, callback } of timers.alarms) {
      assert.equal(ms, 500);
      callback();
    }
    await assert.rejects(uploading, DeadlineExceeded);
    assert.equal(timers.alarms.size, 0);
  });

  test("the pieces of a source may share a buffer", async (t) => {
    const { puts, url } = await storage(t, 200);
    const { client } = await serve(t, "connect", create(url));
    async function* source() {
      const buffer = new Uint8Array(1000);
      for (let start = 0; start < MEDIA.length; start += buffer.length) {
        buffer.set(MEDIA.subarray(start, start + buffer.length));
        yield buffer;
      }
    }
    await client.upload(source(), { contentType: "image/png" });
    assert(puts[0]?.body.equals(MEDIA));
  });

  test("a source that the caller aborts is closed", async (t) => {
    const { client } = await serve(t, "connect", create("http://127.0.0.1:9/slot"));
    const controller = new AbortController();
    const [rejected, closed] = [event(), event()];
    async function* source() {
      try {
        controller.abort();
        await rejected.promise;
        yield MEDIA;
      } finally {
        closed.resolve();
      }
    }
    const { signal } = controller;
    await assert.rejects(client.upload(source(), { contentType: "image/png", signal }), { name: "AbortError" });
    rejected.resolve();
    await closed.promise;
  });

  test("the caller's signal ends the call for the URL", async (t) => {
    const controller = new AbortController();
    const { client } = await serve(t, "connect", {
      uploads: {
        createUpload: (_, context) => {
          controller.abort();
          return hang(context);
        },
      },
    });
    const { signal } = controller;
    await assert.rejects(client.upload(MEDIA, { contentType: "image/png", signal }), { name: "AbortError" });
  });

  test("the caller's signal ends the PUT with its own reason", async (t) => {
    const controller = new AbortController();
    const server = http.createServer(() => controller.abort(new Error("enough")));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => server.close());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const { client } = await serve(t, "connect", create(url));
    const upload = client.upload(MEDIA, { contentType: "image/png", signal: controller.signal });
    await assert.rejects(upload, /enough/);
  });
});
