import assert from "node:assert/strict";
import * as http from "node:http";
import * as http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import {
  type CommonOptions,
  createClient,
  DeadlineExceeded,
  GatewayError,
  GatewayUnavailable,
  InvalidInput,
  KeyReused,
  model,
  soul,
  Unavailable,
  UpstreamSaturated,
  VERSION,
} from "@hfgateway/client";
import { agents } from "@hfgateway/client/agents";
import { connect, createClient as createWebClient } from "@hfgateway/client/browser";
import type { SubmitGenerationRequest } from "@hfgateway/client/stubs";
import {
  clientOf,
  collected,
  draining,
  event,
  FakeTimers,
  Gateway,
  generation,
  hang,
  refusal,
  serve,
  TRANSPORTS,
} from "./support.js";

type Answer = (request: unknown, response: http.ServerResponse | http2.Http2ServerResponse) => void;

for (const transport of TRANSPORTS) {
  describe(`calls over ${transport}`, { timeout: 100_000 }, () => {
    test("a call sends the key, a deadline and the user agent", async (t) => {
      const seen = event<Headers>();
      const { client } = await serve(
        t,
        transport,
        {
          generations: {
            getGeneration: (_, context) => {
              seen.resolve(context.requestHeader);
              return { generation: generation({}) };
            },
          },
        },
        { apiKey: "hfg_secret", timeoutMs: 4000 },
      );
      assert.equal((await client.get("g")).id, "g");
      const headers = await seen.promise;
      assert.equal(headers.get("authorization"), "Bearer hfg_secret");
      assert.match(headers.get("content-type") ?? "", /proto$/);
      assert.equal(headers.get("grpc-timeout") ?? `${headers.get("connect-timeout-ms")}m`, "4000m");
      const name = headers.get(transport === "grpc" ? "user-agent" : "x-user-agent");
      assert.equal(name, `hfgateway-client-typescript/${VERSION}`);
    });

    test("UNAVAILABLE is retried after the delay that the gateway asked for", async (t) => {
      const keys: string[] = [];
      const { client, timers } = await serve(t, transport, {
        generations: {
          submitGeneration: ({ idempotencyKey }) => {
            keys.push(idempotencyKey);
            if (keys.length < 3) throw draining(keys.length * 1500);
            return { generation: generation({ idempotencyKey }) };
          },
        },
      });
      const submission = await client.submit(soul("a"));
      assert.deepEqual(timers.slept, [1500, 3000]);
      assert.equal(keys.length, 3);
      assert.deepEqual(new Set(keys), new Set([submission.idempotencyKey]));
    });

    test("a retry sends the input of the call, although the caller has changed it since", async (t) => {
      const input = soul("a");
      const prompts: unknown[] = [];
      const { client } = await serve(t, transport, {
        generations: {
          submitGeneration: ({ input: received }) => {
            prompts.push(received?.kind.case === "soul" && received.kind.value.prompt);
            if (input.kind.case === "soul") input.kind.value.prompt = "b";
            if (prompts.length === 1) throw draining();
            return { generation: generation({}) };
          },
        },
      });
      await client.submit(input);
      assert.deepEqual(prompts, ["a", "a"]);
    });

    test("otherwise the delay doubles, up to a limit", async (t) => {
      let attempts = 0;
      const { client, timers } = await serve(t, transport, {
        generations: {
          getGeneration: () => {
            if (++attempts < 8) throw draining();
            return { generation: generation({}) };
          },
        },
      });
      await client.get("g", { timeoutMs: 60_000 });
      assert.deepEqual(timers.slept, [200, 400, 800, 1600, 3200, 6400, 10_000]);
    });

    test("if the delay would pass the deadline, the last error is thrown at once", async (t) => {
      const { client, timers } = await serve(t, transport, {
        generations: {
          getGeneration: () => {
            throw draining(20_000);
          },
        },
      });
      await assert.rejects(client.get("g", { timeoutMs: 30_000 }), (error: GatewayError) => {
        assert(error instanceof GatewayUnavailable);
        assert.equal(error.code, "UNAVAILABLE");
        assert.equal(error.reason, "GATEWAY_UNAVAILABLE");
        assert.equal(error.retryDelayMs, 20_000);
        assert.equal(error.retryable, true);
        return true;
      });
      assert.deepEqual(timers.slept, [20_000]);
    });

    test("other errors are not retried, and each has its class", async (t) => {
      let attempts = 0;
      const refusals = [
        refusal(Code.InvalidArgument, "INVALID_INPUT", {
          fieldViolations: [{ field: "input.soul.prompt", description: "is empty" }],
        }),
        refusal(Code.FailedPrecondition, "IDEMPOTENCY_KEY_REUSED", { metadata: { generation_id: "g" } }),
        refusal(Code.ResourceExhausted, "UPSTREAM_SATURATED", { retryDelay: { seconds: 2n } }),
      ];
      const { client, timers } = await serve(t, transport, {
        generations: {
          submitGeneration: () => {
            throw refusals[attempts++]!;
          },
        },
      });
      const failed = async () => {
        const error: unknown = await client.submit(soul(""), { idempotencyKey: "k" }).catch((thrown) => thrown);
        assert(error instanceof GatewayError);
        assert.equal(error.idempotencyKey, "k");
        assert.equal(error.message, "refused");
        return error;
      };
      const invalid = await failed();
      assert(invalid instanceof InvalidInput);
      assert.deepEqual(
        invalid.fieldViolations.map(({ field, description }) => [field, description]),
        [["input.soul.prompt", "is empty"]],
      );
      const reused = await failed();
      assert(reused instanceof KeyReused);
      assert.equal(reused.metadata.generation_id, "g");
      const saturated = await failed();
      assert(saturated instanceof UpstreamSaturated);
      assert.equal(saturated.retryDelayMs, 2000);
      assert.equal(attempts, 3);
      assert.deepEqual(timers.slept, []);
    });

    test("if the connection is cut before the response, the same submission is retried", async (t) => {
      const keys: string[] = [];
      const { client, gateway, timers } = await serve(t, transport, {
        generations: {
          submitGeneration: async ({ idempotencyKey }, context) => {
            keys.push(idempotencyKey);
            if (keys.length === 1) {
              gateway.cut();
              await hang(context);
            }
            return { generation: generation({}), replayed: true, warnings: [{ field: "input" }] };
          },
        },
      });
      const submission = await client.submit(soul("a"));
      assert.equal(submission.replayed, true);
      assert.deepEqual(
        submission.warnings.map(({ field }) => field),
        ["input"],
      );
      assert.deepEqual(keys, [submission.idempotencyKey, submission.idempotencyKey]);
      assert.deepEqual(timers.slept, [200]);
    });

    test("the client waits for a gateway that restarts on the same port", async (t) => {
      const script = { generations: { getGeneration: () => ({ generation: generation({}) }) } };
      const { client, gateway, timers } = await serve(t, transport, script);
      await client.get("g");
      const port = Number(gateway.address.split(":")[1]);
      await gateway.stop();
      const successor = new Gateway(transport, script);
      timers.onSleep = () => (timers.slept.length === 3 ? successor.listen(port) : undefined);
      t.after(() => successor.stop());
      assert.equal((await client.get("g")).id, "g");
      assert.deepEqual(timers.slept, [200, 400, 800]);
    });

    test("a gateway that stays unavailable: Unavailable, before the deadline", async (t) => {
      const { client, gateway, timers } = await serve(t, transport, {});
      await gateway.stop();
      await assert.rejects(client.get("g", { timeoutMs: 1000 }), (error) => {
        assert(error instanceof Unavailable);
        assert.equal(error.reason, "");
        return true;
      });
      assert.deepEqual(timers.slept, [200, 400]);
      await gateway.listen(); // the end of the test stops it
    });

    test("the caller's signal ends the call at the gateway, and the call rejects with its reason", async (t) => {
      const arrived = event();
      const left = event();
      const { client } = await serve(t, transport, {
        generations: {
          getGeneration: async (_, context) => {
            context.signal.addEventListener("abort", () => left.resolve());
            arrived.resolve();
            return hang(context);
          },
        },
      });
      const controller = new AbortController();
      const call = client.get("g", { signal: controller.signal });
      await arrived.promise;
      const reason = new Error("changed my mind");
      controller.abort(reason);
      await assert.rejects(call, (error) => error === reason);
      await left.promise;
      await assert.rejects(client.get("g", { signal: controller.signal }), (error) => error === reason);
    });

    test("the signal interrupts the delay before a retry", async (t) => {
      const { client, timers } = await serve(t, transport, {
        generations: {
          getGeneration: () => {
            throw draining();
          },
        },
      });
      const controller = new AbortController();
      timers.onSleep = () => controller.abort();
      await assert.rejects(client.get("g", { signal: controller.signal }), { name: "AbortError" });
      assert.deepEqual(timers.slept, [200]);
    });

    test("a call that times out is DeadlineExceeded, and the client stays usable", async (t) => {
      let cancels = 0;
      const { client } = await serve(t, transport, {
        generations: {
          getGeneration: ({ id }, context) => (id === "slow" ? hang(context) : { generation: generation({ id }) }),
          cancelGeneration: (_, context) => {
            if (cancels++ === 0) throw draining(1);
            return hang(context);
          },
        },
      });
      await assert.rejects(client.get("slow", { timeoutMs: 50 }), DeadlineExceeded);
      await assert.rejects(client.cancel("slow", { timeoutMs: 2000 }), /timed out\. Before: refused$/);
      assert.equal((await client.get("g")).id, "g");
    });

    test("a timeout of more than eight digits is unlimited", async (t) => {
      const { client } = await serve(t, transport, {
        generations: { getGeneration: (_, { timeoutMs }) => ({ generation: generation({ id: `${timeoutMs()}` }) }) },
      });
      assert.equal((await client.get("g", { timeoutMs: 100_000_000 })).id, "undefined");
    });

    test("a timeout of 0 is not unlimited", async (t) => {
      let attempts = 0;
      const { client } = await serve(t, transport, {
        generations: {
          getGeneration: () => {
            attempts++;
            return { generation: generation({}) };
          },
        },
      });
      await assert.rejects(client.get("g", { timeoutMs: 0 }), DeadlineExceeded);
      assert.equal(attempts, 0);
    });

    test("HTTP errors of a proxy are retried, except those that a retry cannot change", async (t) => {
      const statuses = [503, 429, 404, 500, 502, 401];
      const answer: Answer = (_, response) => {
        response.writeHead(statuses.shift()!, { "content-type": "text/html" }).end("<h1>sorry</h1>");
      };
      const server = transport === "grpc" ? http2.createServer(answer) : http.createServer(answer);
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const timers = new FakeTimers();
      await using client = clientOf(transport, `127.0.0.1:${(server.address() as AddressInfo).port}`, { timers });
      t.after(() => server.close());
      await assert.rejects(client.get("g"), { name: "GatewayError", code: "UNIMPLEMENTED" });
      await assert.rejects(client.get("g"), { name: "InvalidCredentials", code: "UNAUTHENTICATED" });
      assert.deepEqual(timers.slept, [200, 400, 200, 400]);
      assert.deepEqual(statuses, []);
    });

    test("the key is not sent to the target of a redirect", async (t) => {
      let strayed = 0;
      const listening = async (answer: Answer) => {
        const server = transport === "grpc" ? http2.createServer(answer) : http.createServer(answer);
        await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
        t.after(() => server.close());
        return `127.0.0.1:${(server.address() as AddressInfo).port}`;
      };
      const elsewhere = await listening((_, response) => {
        strayed++;
        response.end();
      });
      const address = await listening((_, response) => {
        response.writeHead(307, { location: `http://${elsewhere}/` }).end();
      });
      const options = { apiKey: "hfg_secret", retry: { repeatCallsForMs: 0 } };
      await using client = clientOf(transport, address, options);
      await assert.rejects(client.get("g"), GatewayError);
      assert.equal(strayed, 0);
    });

    test("closing ends open calls, and later calls fail at once", async (t) => {
      const arrived = event();
      const { client } = await serve(t, transport, {
        generations: {
          getGeneration: (_, context) => {
            arrived.resolve();
            return hang(context);
          },
        },
      });
      const call = client.get("g");
      await arrived.promise;
      const closed = { name: "ClientClosed", code: "CANCELLED", message: "the client is closed" };
      await Promise.all([assert.rejects(call, closed), client.close()]);
      await assert.rejects(client.get("g"), closed);
    });

    test("a value that its field cannot hold is a TypeError, and nothing is sent", async (t) => {
      let attempts = 0;
      const { client, timers } = await serve(t, transport, {
        generations: {
          submitGeneration: () => {
            attempts++;
            return {};
          },
        },
      });
      await assert.rejects(client.submit(soul("a", { width: 1.5 })), TypeError);
      const cut = "a 🦊".slice(0, -1);
      const mistake = { name: "TypeError", message: /surrogate/ };
      await assert.rejects(client.submit(soul(cut)), mistake);
      await assert.rejects(client.submit(model("some/model", { texts: [cut] })), mistake);
      await assert.rejects(client.submit(soul("a"), { labels: { team: cut } }), mistake);
      await assert.rejects(client.submit(soul("a"), { labels: { [cut]: "a" } }), mistake);
      assert.equal(attempts, 0);
      await client.submit(soul("a 🦊"), { labels: { team: "🦊" } });
      assert.equal(attempts, 1);
      assert.deepEqual(timers.slept, []);
    });
  });
}

for (const [entry, make] of [
  ["Node", (options: CommonOptions) => createClient(options)],
  ["browser", (options: CommonOptions) => createWebClient({ baseUrl: "http://127.0.0.1:1", ...options })],
] as const) {
  describe(`the API key in the entry for ${entry}`, () => {
    test("is not shown when a client is inspected", () => {
      const client = make({ apiKey: "hfg_secret" });
      assert.doesNotMatch(inspect(client, { depth: 9, showHidden: true }) + JSON.stringify(client), /hfg_secret/);
    });

    test("is not shown in the error about an invalid key", () => {
      assert.throws(
        () => make({ apiKey: "hfg_secret\n" }),
        (error: Error) => error instanceof TypeError && !error.message.includes("secret"),
      );
    });
  });
}

test("what has ended holds no alarm, and follows neither the client nor the caller's signal", async (t) => {
  let attempts = 0;
  let streams = 0;
  const { gateway } = await serve(t, "connect", {
    generations: {
      getGeneration: () => {
        if (++attempts === 1) throw draining();
        return { generation: generation({}) };
      },
      watchGeneration: async function* () {
        yield { generation: generation({ revision: ++streams, done: streams === 2 }) };
        throw draining();
      },
    },
    agents: {
      createSession: () => ({ session: { id: "s" } }),
      async *watchSession({ id }) {
        yield { session: { id } };
      },
    },
  });
  const signals: [string, AbortSignal | undefined][] = [];
  let broken = false;
  const protocol = (baseUrl: string): Transport => {
    const inner = connect(baseUrl);
    return {
      unary(method, signal, ...call) {
        signals.push([method.name, signal]);
        return inner.unary(method, signal, ...call);
      },
      stream(method, signal, ...call) {
        signals.push([method.name, signal]);
        if (broken) throw new ConnectError("no stream");
        return inner.stream(method, signal, ...call);
      },
    };
  };
  const timers = new FakeTimers();
  const sleep = timers.sleep.bind(timers);
  timers.sleep = (ms, signal) => {
    signals.push(["the delay", signal]);
    return sleep(ms, signal);
  };
  const client = createWebClient({ baseUrl: `http://${gateway.address}`, protocol, timers });
  const controller = new AbortController();
  const { signal } = controller;
  await client.get("g", { signal });
  await agents(client).createSession({ idempotencyKey: "k" }, { signal });
  assert.equal((await collected(agents(client).watchSession({ id: "s" }, { signal }))).length, 1);
  assert.equal((await collected(client.watch("g", { signal }))).length, 2);
  broken = true;
  await assert.rejects(collected(agents(client).watchSession({ id: "s" }, { signal })), ConnectError);
  assert.deepEqual(timers.alarms, new Set());
  await client.close();
  controller.abort();
  assert.equal(signals.length, 9);
  // A watch ends its own streams.
  assert.deepEqual(
    signals.flatMap(([name, one]) => (one?.aborted ? name : [])),
    ["WatchGeneration", "WatchGeneration"],
  );
});

test("a baseUrl with another scheme, or without its scheme, is a TypeError", () => {
  for (const baseUrl of ["localhost:8080", "ftp://gateway.example", "http://[::1"]) {
    assert.throws(() => createWebClient({ baseUrl }), TypeError);
  }
  for (const baseUrl of ["/", "//gateway.example", "/gateway", "HTTPS://gateway.example"]) createWebClient({ baseUrl });
});

test("a key is sent in plaintext off loopback only if that is allowed", () => {
  const apiKey = "hfg_secret";
  for (const host of ["gateway.example:443", "10.0.0.7:50051", "[2001:db8::1]:50051"]) {
    for (const make of [
      (options: CommonOptions) => createClient({ address: host, ...options }),
      (options: CommonOptions) => createWebClient({ baseUrl: `http://${host}`, ...options }),
      (options: CommonOptions) => createWebClient({ baseUrl: ` HTTP://${host}`, ...options }),
    ]) {
      assert.throws(
        () => make({ apiKey }),
        (error: Error) => error instanceof TypeError && /insecure/.test(error.message) && !/secret/.test(error.message),
      );
      make({ apiKey, insecure: true });
      make({});
    }
    createClient({ address: host, apiKey, tls: true });
    createWebClient({ baseUrl: `https://${host}`, apiKey });
  }
  for (const address of ["127.0.0.1:50051", "127.9.9.9:1", "localhost:1", "[::1]:1"]) createClient({ address, apiKey });
  createWebClient({ apiKey });
});

test("a key is sent in plaintext to the page's own origin only", (t) => {
  t.after(() => Reflect.deleteProperty(globalThis, "location"));
  const make = (baseUrl: string) => () => createWebClient({ baseUrl, apiKey: "hfg_secret" });
  assert.throws(make("//gateway.example"), /insecure/);
  globalThis.location = { href: "http://page.example/tool" } as Location;
  assert.throws(make("//gateway.example"), /insecure/);
  for (const own of ["/", "//page.example", "http://page.example"]) make(own)();
  globalThis.location = { href: "https://page.example/tool" } as Location;
  for (const secure of ["/", "//gateway.example"]) make(secure)();
  assert.throws(make("http://page.example"), /insecure/);
});

test("the address and the key are taken from the environment", async (t) => {
  let authorization: string | null = "";
  const { gateway } = await serve(t, "grpc", {
    generations: {
      getGeneration: (_, { requestHeader }) => {
        authorization = requestHeader.get("authorization");
        return { generation: generation({}) };
      },
    },
  });
  const names = ["HFGATEWAY_ADDRESS", "HFGATEWAY_API_KEY"] as const;
  t.after(() => {
    for (const name of names) delete process.env[name];
  });
  process.env.HFGATEWAY_ADDRESS = gateway.address;
  process.env.HFGATEWAY_API_KEY = "hfg_environment";
  await using client = createClient();
  await client.get("g");
  assert.equal(authorization, "Bearer hfg_environment");
  await using stranger = createClient({ apiKey: "" });
  await stranger.get("g");
  assert.equal(authorization, null);
  // An empty one is none, and the default address is valid.
  process.env.HFGATEWAY_ADDRESS = "";
  await createClient().close();
});

test("a key that changes is read before each attempt", async (t) => {
  const seen: (string | null)[] = [];
  const { gateway } = await serve(t, "grpc", {
    generations: {
      getGeneration: (_, { requestHeader }) => {
        seen.push(requestHeader.get("authorization"));
        if (seen.length === 1) throw new ConnectError("later", Code.Unavailable);
        return { generation: generation({}) };
      },
    },
  });
  const keys = ["hfg_new", "hfg_old"];
  await using client = createClient({ address: gateway.address, apiKey: () => keys.pop() ?? "hfg_\n" });
  await client.get("g");
  assert.deepEqual(seen, ["Bearer hfg_old", "Bearer hfg_new"]);
  const invalid = { name: "TypeError", message: /visible ASCII/ };
  await assert.rejects(client.get("g"), invalid);
  await assert.rejects(client.watch("g").next(), invalid);
  assert.throws(() => createClient({ address: "gateway.example:443", apiKey: () => "hfg_secret" }), /insecure/);
});

test("a function for the key that fails before a retry leaves the error with the idempotency key", async (t) => {
  const sent: string[] = [];
  const mistake = new Error("the vault is sealed");
  const keys = ["hfg_only"];
  const apiKey = () => {
    const key = keys.pop();
    if (!key) throw mistake;
    return key;
  };
  const submitGeneration = ({ idempotencyKey }: SubmitGenerationRequest) => {
    sent.push(idempotencyKey);
    throw draining();
  };
  const { client } = await serve(t, "grpc", { generations: { submitGeneration } }, { apiKey });
  await assert.rejects(client.submit(soul("a")), (error) => {
    assert(error instanceof GatewayUnavailable);
    assert.equal(error.cause, mistake);
    assert.deepEqual([error.idempotencyKey], sent);
    return true;
  });
  await assert.rejects(client.submit(soul("a")), (error) => error === mistake); // nothing was sent
});

test("a function for the key that fails before a watch resumes leaves the error with the idempotency key", async (t) => {
  const mistake = new Error("the vault is sealed");
  const keys = ["hfg_watch", "hfg_submit"];
  const apiKey = () => {
    const key = keys.pop();
    if (!key) throw mistake;
    return key;
  };
  const generations = {
    submitGeneration: () => ({ generation: generation({ done: false }) }),
    watchGeneration: async function* () {
      yield {};
      throw draining();
    },
  };
  const { client } = await serve(t, "grpc", { generations }, { apiKey });
  await assert.rejects(client.generate(soul("a"), { idempotencyKey: "order-7" }), (error) => {
    assert(error instanceof GatewayUnavailable);
    assert.deepEqual([error.cause, error.idempotencyKey], [mistake, "order-7"]);
    return true;
  });
});

test("a function for the key that fails after a submission is the cause of an error with the idempotency key", async (t) => {
  const mistake = new Error("the vault is sealed");
  const keys = ["hfg_2", "hfg_1"];
  let asked = 0;
  const apiKey = () => {
    if (asked++ % 2) throw mistake;
    return keys.pop()!;
  };
  const generations = { submitGeneration: () => ({ generation: generation({ done: false }) }) };
  const characters = { createCharacter: () => ({ character: { id: "c1" } }) };
  const { client } = await serve(t, "grpc", { generations, characters }, { apiKey });
  const idempotencyKey = "order-7";
  for (const call of [
    () => client.generate(soul("a"), { idempotencyKey }),
    () => client.trainCharacter("Anna", ["https://images.example/1"], { idempotencyKey }),
  ]) {
    await assert.rejects(call(), (error) => {
      assert(error instanceof GatewayError);
      assert.deepEqual([error.cause, error.idempotencyKey, error.retryable], [mistake, idempotencyKey, false]);
      return true;
    });
  }
});

test("a function for retries that fails leaves the error with the idempotency key", async (t) => {
  const mistake = new Error("no log");
  const submitGeneration = () => {
    throw draining();
  };
  const onRetry = () => {
    throw mistake;
  };
  const { client } = await serve(t, "grpc", { generations: { submitGeneration } }, { onRetry });
  await assert.rejects(client.submit(soul("a"), { idempotencyKey: "order-7" }), (error) => {
    assert(error instanceof GatewayUnavailable);
    assert.deepEqual([error.cause, error.idempotencyKey], [mistake, "order-7"]);
    return true;
  });
});

test("a function for retries that throws the error that it was called with does not make it its own cause", async (t) => {
  const submitGeneration = () => {
    throw draining();
  };
  const onRetry = (error: GatewayError) => {
    throw error;
  };
  const { client } = await serve(t, "grpc", { generations: { submitGeneration } }, { onRetry });
  await assert.rejects(client.submit(soul("a")), (error) => {
    assert(error instanceof GatewayUnavailable);
    assert.notEqual(error.cause, error);
    return true;
  });
});

test("an address is a host and a port", () => {
  for (const address of ["127.0.0.1:50051", "[::1]:50051", "localhost:443", "gateway.example"])
    createClient({ address });
  for (const address of ["http://127.0.0.1:50051", "host/path", "user@host:1", "host:port", ""]) {
    assert.throws(() => createClient({ address }), TypeError, address);
  }
});
