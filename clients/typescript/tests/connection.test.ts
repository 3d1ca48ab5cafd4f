import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import * as http from "node:http";
import * as http2 from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import * as net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { type ClientOptions, createClient, GatewayError, InvalidInput, soul, Unavailable } from "@hfgateway/client";
import { connect, createClient as createWebClient, grpcWeb } from "@hfgateway/client/browser";
import { GenerationService } from "@hfgateway/client/stubs";
import { event, FakeTimers, generation, hang, serve } from "./support.js";

/** Start a server, and return a client of it that retries nothing. Both are closed at the end of the test. */
async function clientOf(t: TestContext, server: http2.Http2Server) {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const client = createClient({ address: `127.0.0.1:${port}`, retry: { repeatCallsForMs: 0 } });
  t.after(() => client.close());
  return client;
}

describe("the HTTP/2 connection", { timeout: 100_000 }, () => {
  test("is pinged after 11 s of silence, only while a call is open", async (t) => {
    const arrived = event();
    const { client, gateway } = await serve(t, "grpc", {
      generations: {
        getGeneration: () => ({ generation: generation({}) }),
        waitGeneration: (_, context) => {
          arrived.resolve();
          return hang(context);
        },
      },
    });
    const pinged = event();
    let pings = 0;
    gateway.server.on("session", (session) => {
      session.on("ping", () => {
        pings++;
        pinged.resolve();
      });
    });
    t.mock.timers.enable({ apis: ["setTimeout"] });
    await client.get("g");
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate); // its stream closes after the response
    t.mock.timers.tick(60_000);
    await client.get("g");
    assert.equal(pings, 0);

    const controller = new AbortController();
    const waiting = client.wait("g", { signal: controller.signal });
    await arrived.promise;
    t.mock.timers.tick(10_999);
    await client.get("g"); // a round trip: a ping before it would have been seen
    assert.equal(pings, 0);
    t.mock.timers.tick(11_000);
    await pinged.promise;
    controller.abort();
    await assert.rejects(waiting, { name: "AbortError" });
  });

  for (const [kind, part] of [
    ["half a message", Buffer.from([0, 0, 0, 0, 100, 1, 2, 3])],
    ["no message", Buffer.alloc(0)],
  ] as const) {
    test(`may end with ${kind}, which says nothing about the call`, async (t) => {
      const server = http2.createServer((_, response) => {
        response.writeHead(200, { "content-type": "application/grpc+proto" });
        response.addTrailers({ "grpc-status": "0" });
        response.end(part);
      });
      const client = await clientOf(t, server);
      const error = await client.submit(soul("a fox")).catch((thrown: unknown) => thrown);
      assert(error instanceof Unavailable);
      assert.equal(error.retryable, true);
    });
  }

  test("may reset a call without a response or an error, which ends it", async (t) => {
    const server = http2.createServer((_, response) => response.stream.close(http2.constants.NGHTTP2_NO_ERROR));
    const client = await clientOf(t, server);
    await assert.rejects(client.get("g"), { code: "UNAVAILABLE", retryable: true });
    await assert.rejects(client.upload(new Uint8Array(9), { contentType: "image/png" }), Unavailable);
  });

  test("may have a status whose message has a stray percent sign", async (t) => {
    const server = http2.createServer((_, response) => {
      const status = { "grpc-status": 3, "grpc-message": "100% wrong" };
      response.stream.respond({ "content-type": "application/grpc", ...status }, { endStream: true });
    });
    const client = await clientOf(t, server);
    const error: unknown = await client.get("g").catch((thrown) => thrown);
    assert(error instanceof InvalidInput);
    assert.equal(error.message, "100% wrong");
  });

  test("is replaced if it was silently dropped, and the call is retried", async (t) => {
    const arrived = event();
    let calls = 0;
    const { gateway } = await serve(t, "grpc", {
      generations: {
        getGeneration: (_, context) => {
          calls++;
          if (calls > 1) return { generation: generation({ id: "found" }) };
          arrived.resolve();
          return hang(context);
        },
      },
    });
    const proxy = await blackHole(gateway.address);
    t.after(() => proxy.close());
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const pinged = proxy.swallowing();
    // The retry is immediate: it begins before the session has reported its error.
    await using client = createClient({ address: proxy.address, timers: new FakeTimers() });
    const call = client.get("g");
    await arrived.promise;
    proxy.swallow();
    t.mock.timers.tick(11_000);
    await pinged;
    t.mock.timers.tick(5000);
    assert.equal((await call).id, "found");
    assert.equal(calls, 2);
  });

  test("is aborted if it is not established within 10 s, and the next call connects again", async (t) => {
    const sockets = new Set<Socket>();
    const arrivals: (() => void)[] = [];
    // Accepts connections, but never answers the TLS handshake.
    const silent = net.createServer((socket) => {
      sockets.add(socket.on("error", () => {}));
      arrivals.shift()?.();
    });
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    t.after(() => {
      for (const socket of sockets) socket.destroy();
      silent.close();
    });
    const address = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const timers = new FakeTimers();
    await using client = createClient({ address, tls: true, timers, retry: { repeatCallsForMs: 0 } });
    for (let attempt = 1; attempt <= 2; attempt++) {
      const arrived = new Promise<void>((resolve) => arrivals.push(resolve));
      const call = client.get("g");
      await arrived;
      const [alarm] = timers.alarms;
      assert.equal(alarm?.ms, 10_000);
      alarm.callback();
      await assert.rejects(call, Unavailable);
      assert.equal(sockets.size, attempt);
      assert.equal(timers.alarms.size, 0);
    }
  });

  test("is kept if a call takes longer than that", async (t) => {
    const [arrived, go] = [event(), event()];
    let calls = 0;
    const { client, timers } = await serve(t, "grpc", {
      generations: {
        getGeneration: async () => {
          calls++;
          arrived.resolve();
          await go.promise;
          return { generation: generation({}) };
        },
      },
    });
    const call = client.get("g");
    await arrived.promise;
    for (const { callback } of timers.alarms) callback();
    go.resolve();
    await call;
    assert.equal(calls, 1);
  });

  test("carries more than ten calls without a warning of Node", async (t) => {
    const warnings: Error[] = [];
    const warned = (warning: Error) => void warnings.push(warning);
    process.on("warning", warned);
    t.after(() => process.off("warning", warned));
    let waiting = 0;
    const all = event();
    const { client } = await serve(t, "grpc", {
      generations: {
        getGeneration: async () => {
          waiting++;
          if (waiting === 50) all.resolve();
          await all.promise;
          return { generation: generation({}) };
        },
      },
    });
    const { signal } = new AbortController();
    await Promise.all(Array.from({ length: 50 }, () => client.get("g", { signal })));
    await new Promise(setImmediate);
    assert.deepEqual(warnings, []);
  });

  test("that cannot be made fails check at once, with the address and the cause", async () => {
    const retries: number[] = [];
    const onRetry = (_: unknown, delay: number) => void retries.push(delay);
    await using client = createClient({ address: "127.0.0.1:1", onRetry, timers: new FakeTimers() });
    await assert.rejects(client.check(), (error) => {
      assert(error instanceof Unavailable);
      assert.match(error.message, /http:\/\/127\.0\.0\.1:1 failed: .*ECONNREFUSED/);
      return error.retryable;
    });
    assert.deepEqual(retries, []);
    await assert.rejects(client.get("g"), Unavailable);
    assert.notDeepEqual(retries, []);
  });

  test("that fetch cannot make fails with the cause too, which Node hides in the cause of its error", async () => {
    const closed = net.createServer().listen(0, "127.0.0.1");
    await once(closed, "listening");
    const { port } = closed.address() as AddressInfo;
    closed.close();
    await once(closed, "close");
    for (const protocol of [connect, grpcWeb]) {
      await using client = createWebClient({ baseUrl: `http://127.0.0.1:${port}`, protocol });
      const message = new RegExp(`http://127\\.0\\.0\\.1:${port} failed: fetch failed: connect ECONNREFUSED 127`);
      await assert.rejects(client.check(), { name: "Unavailable", message });
    }
  });

  test("that lost the response, but not its OK, may have lost an effect", async (t) => {
    const server = http.createServer((_, response) => {
      response.writeHead(200, { "content-type": "application/grpc-web+proto", "grpc-status": 0 }).end(ending, "latin1");
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    const options = { baseUrl: `http://127.0.0.1:${port}`, protocol: grpcWeb, retry: { repeatCallsForMs: 0 } };
    await using client = createWebClient(options);
    let ending = "";
    await assert.rejects(client.submit(soul("a")), { name: "Unavailable", retryable: true });
    ending = "\x80\0\0\0\x10grpc-status: 0\r\n";
    await assert.rejects(client.submit(soul("a")), { name: "Unavailable", retryable: true });
  });

  test("to a name that does not exist is not retried, and the interceptors see the call", async () => {
    const seen: string[] = [];
    await using client = createClient({
      address: "gateway.invalid:443",
      timers: new FakeTimers(),
      interceptors: [
        (next) => (request) => {
          seen.push(request.method.name);
          return next(request);
        },
      ],
    });
    await assert.rejects(client.get("g"), (error) => {
      assert(error instanceof Unavailable);
      assert.match(error.message, /gateway\.invalid.*ENOTFOUND/);
      return error.permanent && !error.retryable;
    });
    assert.deepEqual(seen, ["GetGeneration"]);
  });

  test("is retried after every failure once the gateway has responded, to a call or with a message of a watch", async (t) => {
    let lost = false;
    const unknown: Interceptor = (next) => (request) => {
      if (!lost) return next(request);
      lost = false;
      const cause = Object.assign(new Error("getaddrinfo ENOTFOUND gateway.example"), { code: "ENOTFOUND" });
      throw new ConnectError("the name is unknown", Code.Unavailable, undefined, undefined, cause);
    };
    const { gateway } = await serve(t, "grpc", {
      generations: {
        getGeneration: () => ({ generation: generation({}) }),
        async *watchGeneration({ afterRevision }, context) {
          if (afterRevision === 1) return yield { generation: generation({ revision: 2, done: true }) };
          yield { generation: generation({ revision: 1 }) };
          await hang(context);
        },
      },
    });
    const options = () => ({ address: gateway.address, timers: new FakeTimers(), interceptors: [unknown] });
    await using called = createClient(options());
    await called.get("g");
    lost = true;
    await called.get("g");
    assert.equal(lost, false);
    await using watching = createClient(options());
    const changes = watching.watch("g");
    await changes.next();
    lost = true;
    gateway.cut();
    assert.equal((await changes.next()).value?.revision, 2);
    assert.equal(lost, false);
  });

  test("is not to blame for a mistake in an interceptor: it surfaces at once, with the key", async () => {
    const timers = new FakeTimers();
    const mistake = new TypeError("name is not a function");
    const wrong: Interceptor = () => () => {
      throw mistake;
    };
    await using client = createClient({ address: "127.0.0.1:1", timers, interceptors: [wrong] });
    await assert.rejects(client.submit(soul("a fox")), (error) => {
      assert(error instanceof GatewayError && !(error instanceof Unavailable));
      assert.deepEqual([error.cause, error.message, error.retryable], [mistake, mistake.message, false]);
      return error.idempotencyKey !== undefined;
    });
    await assert.rejects(client.watch("g").next(), { cause: mistake });
    assert.deepEqual(timers.slept, []);
  });

  test("does not keep the process alive without open calls", async (t) => {
    const { gateway } = await serve(t, "grpc", {
      generations: { getGeneration: () => ({ generation: generation({ id: "found" }) }) },
    });
    const program = `
      import { createClient } from "@hfgateway/client";
      const client = createClient({ address: "${gateway.address}" });
      client.get("g").then((found) => console.log(found.id));
    `;
    const printed = await new Promise<string>((resolve, reject) => {
      execFile(process.execPath, ["--input-type=module", "-e", program], (error, out) =>
        error ? reject(error) : resolve(out),
      );
    });
    assert.equal(printed.trim(), "found");
  });
});

/** A proxy whose connections can be dropped silently. New ones work. */
async function blackHole(target: string) {
  const sockets = new Set<Socket>();
  const discarded = event();
  const dropped = new Set<Socket>();
  const [host, port] = target.split(":");
  const server = net.createServer((near) => {
    const far = net.connect(Number(port), host!);
    const pairs: [Socket, Socket][] = [
      [near, far],
      [far, near],
    ];
    for (const [from, to] of pairs) {
      sockets.add(from);
      from.on("error", () => {});
      from.on("data", (bytes) => {
        if (dropped.has(near)) discarded.resolve();
        else to.write(bytes);
      });
      from.on("close", () => {
        if (!dropped.has(near)) to.destroy();
      });
    }
    near.on("close", () => far.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    swallow: () => {
      for (const socket of sockets) dropped.add(socket);
    },
    /** Resolves when something was discarded. */
    swallowing: () => discarded.promise,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

test("a client certificate without its key, or an authority that is no certificate, is refused", () => {
  for (const half of [{ cert: "certificate" }, { key: "key" }]) {
    assert.throws(() => createClient({ tls: half }), /both needed/);
  }
  for (const ca of ["", "no PEM", ["-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n"]]) {
    assert.throws(() => createClient({ tls: { ca } }), /no certificate/);
  }
});

describe("TLS", { timeout: 100_000, skip: !hasOpenssl() && "openssl is not installed" }, () => {
  const folder = mkdtempSync(join(tmpdir(), "hfgateway-tls-"));
  const file = (name: string) => join(folder, name);
  const certificate = () => {
    execFileSync("openssl", [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"],
      ...["-keyout", file("key.pem"), "-out", file("cert.pem"), "-subj", "/CN=gateway"],
      ...["-addext", "subjectAltName=IP:127.0.0.1"],
    ]);
    return { key: readFileSync(file("key.pem")), cert: readFileSync(file("cert.pem")) };
  };

  test("a key that is not that of the client certificate is refused", () => {
    const { cert } = certificate();
    for (const key of [certificate().key, cert, "no PEM"]) {
      assert.throws(() => createClient({ tls: { cert, key } }), { name: "TypeError", message: /key cannot be used: / });
    }
  });

  test("trusts the given CA and no other, and sends the client certificate", async (t) => {
    t.after(() => rmSync(folder, { recursive: true }));
    const identity = certificate();
    const handler = connectNodeAdapter({
      routes: (router) =>
        router.service(GenerationService, { getGeneration: () => ({ generation: generation({ id: "found" }) }) }),
    });
    const asksForUs = { ca: identity.cert, requestCert: true, rejectUnauthorized: true };
    const plain = await listening(http2.createSecureServer(identity, handler));
    const mutual = await listening(http2.createSecureServer({ ...identity, ...asksForUs }, handler));
    t.after(() => [plain, mutual].map((server) => server.close()));

    const got = async (server: http2.Http2SecureServer, tls: ClientOptions["tls"]) => {
      const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
      await using client = createClient({ address, tls, apiKey: "hfg_secret", timers: new FakeTimers() });
      return (await client.get("g")).id;
    };
    assert.equal(await got(plain, { ca: identity.cert }), "found");
    const permanent = (error: unknown) => error instanceof Unavailable && error.permanent;
    await assert.rejects(got(plain, true), permanent);
    await assert.rejects(got(plain, false), Unavailable);
    assert.equal(await got(mutual, { ca: identity.cert, ...identity }), "found");
    await assert.rejects(got(mutual, { ca: identity.cert }), Unavailable);
  });
});

function hasOpenssl(): boolean {
  try {
    execFileSync("openssl", ["version"]);
    return true;
  } catch {
    return false;
  }
}

async function listening(server: http2.Http2SecureServer): Promise<http2.Http2SecureServer> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}
