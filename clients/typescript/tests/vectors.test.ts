/** The test cases in protos/vectors, which the clients of all languages share. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import * as http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { type DescMessage, fromJson, type JsonObject, type JsonValue, toJson } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { Code, ConnectError } from "@connectrpc/connect";
import * as hfgateway from "@hfgateway/client";
import * as stubs from "@hfgateway/client/stubs";
import { WatchCursor } from "#dist/cursor.js";
import { DEFAULT_POLICY, delayMs, mayRepeat, policyOf } from "#dist/retry.js";
import { errorFromCall } from "#dist/status.js";
import { collected, FakeTimers, generation, refusal, type Script, serve } from "./support.js";

// biome-ignore lint/suspicious/noExplicitAny: cases are JSON; each test knows their form
type Case = any;

const VECTORS = new URL("../../../../protos/vectors/", import.meta.url);

function cases(file: string, list: string): Case[] {
  return JSON.parse(readFileSync(new URL(`${file}.json`, VECTORS), "utf8"))[list];
}

/** Returns a code by its name. */
function codeOf(name: string): Code {
  const words = name.split("_").map((word) => word[0] + word.slice(1).toLowerCase());
  return Code[words.join("").replace("Cancelled", "Canceled") as keyof typeof Code];
}

function classOf(name: string): new () => Error {
  return (hfgateway as unknown as Record<string, new () => Error>)[name]!;
}

/** Returns an error of the vectors: as the gateway sends it, or as the transport does if it has no reason. */
function refused(error: Case): ConnectError {
  const { code, reason, retry_delay: delay } = error;
  const retryDelay = delay ? { seconds: BigInt(Math.floor(delay)), nanos: Math.round((delay % 1) * 1e9) } : undefined;
  if (!reason) return new ConnectError("refused", codeOf(code));
  if (Object.hasOwn(stubs.ErrorReason, reason)) {
    return refusal(codeOf(code), reason, retryDelay && { retryDelay });
  }
  const info = new BinaryWriter();
  info.tag(1, WireType.LengthDelimited).string(reason).tag(2, WireType.LengthDelimited).string("hfgateway");
  const made = refusal(codeOf(code), "UNSPECIFIED");
  made.details.push({ type: "google.rpc.ErrorInfo", value: info.finish() });
  return made;
}

describe("errors.json: calls", () => {
  // Send the trailers of the vectors unchanged, without a gRPC library.
  let trailers: http2.OutgoingHttpHeaders;
  const server = http2.createServer((_, response) => {
    response.stream.respond({ "content-type": "application/grpc", ...trailers }, { endStream: true });
  });
  let client: hfgateway.GatewayClient<never>;

  before(async () => {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    client = hfgateway.createClient({ address, retry: { repeatCallsForMs: 0 } });
  });
  after(async () => {
    await client.close();
    server.close();
  });

  for (const one of cases("errors", "calls")) {
    test(one.name, async () => {
      trailers = { "grpc-status": one.code_number, "grpc-message": encodeURIComponent(one.message) };
      if (one.details) trailers["grpc-status-details-bin"] = one.details;
      const error: unknown = await client.get("g").catch((thrown) => thrown);
      assert(error instanceof hfgateway.GatewayError);
      const expected = one.expect;
      assert.equal(error.constructor, classOf(expected.class));
      assert.equal(error.name, expected.class);
      assert(error instanceof classOf(expected.class_of_code));
      assert.equal(error.code, one.code);
      assert.equal(error.reason, expected.reason);
      assert.equal(error.message, expected.message);
      assert.deepEqual(
        error.fieldViolations.map(({ field, description }) => ({ field, description })),
        expected.field_violations,
      );
      assert.equal(error.retryable, expected.retryable);
      assert.equal(error.retryDelayMs ?? null, expected.retry_delay && expected.retry_delay * 1000);
      assert.deepEqual({ ...error.metadata }, expected.metadata);
    });
  }
});

describe("errors.json: generations", () => {
  for (const one of cases("errors", "generations")) {
    test(one.name, async (t) => {
      const ended = fromJson(stubs.GenerationSchema, one.generation);
      const { client } = await serve(t, "grpc", {
        generations: { submitGeneration: () => ({ generation: ended }) },
      });
      const error: unknown = await client.generate(hfgateway.soul("a")).catch((thrown) => thrown);
      assert(error instanceof hfgateway.GenerationFailed);
      const expected = one.expect;
      assert.equal(error.constructor, classOf(expected.class));
      assert.equal(error.name, expected.class);
      assert.deepEqual([error.reason, error.message], [expected.reason, expected.message]);
      assert.deepEqual([error.retryable, error.idempotencyKey], [expected.retryable, expected.idempotency_key]);
      assert.equal(error.code, undefined);
      assert.deepEqual(error.generation, ended);
    });
  }
});

describe("retries.json", () => {
  test("defaults", async (t) => {
    const defaults: Case = cases("retries", "defaults");
    assert.equal(DEFAULT_POLICY.firstDelayMs, defaults.first_delay * 1000);
    assert.equal(DEFAULT_POLICY.maxDelayMs, defaults.max_delay * 1000);
    assert.equal(DEFAULT_POLICY.resumeWatchesForMs, defaults.resume_watches_for * 1000);
    let limit: number | undefined;
    const { client } = await serve(t, "grpc", {
      generations: {
        getGeneration: (_, context) => {
          limit = Number.parseInt(context.requestHeader.get("grpc-timeout") ?? "", 10);
          return { generation: generation({}) };
        },
      },
    });
    await client.get("g");
    assert.equal(limit, defaults.call_timeout * 1000);
  });

  for (const one of cases("retries", "repeats")) {
    test(`repeats: ${one.code} ${one.reason}`, () => {
      const thrown = refused(one);
      thrown.isWireError = true;
      const error = errorFromCall(thrown);
      assert.equal(error.reason, one.reason);
      assert.equal(mayRepeat(error), one.repeated);
    });
  }

  for (const one of cases("retries", "delays")) {
    test(`delays: ${JSON.stringify(one)}`, () => {
      const asked = one.retry_delay === null ? undefined : one.retry_delay * 1000;
      assert.equal(Math.round(delayMs(DEFAULT_POLICY, one.failures, asked, one.chance)), one.delay * 1000);
    });
  }

  test("an undefined option has its default", () => {
    const given: object = { firstDelayMs: undefined, maxDelayMs: 5 };
    assert.deepEqual(policyOf(given), { ...DEFAULT_POLICY, maxDelayMs: 5 });
  });
  test("a negative delay is ignored", () => assert.equal(delayMs(DEFAULT_POLICY, 2, -1000, 1), 400));

  for (const one of cases("retries", "calls")) {
    test(`calls: ${one.name}`, async (t) => {
      const timers = new FakeTimers();
      timers.random = () => one.chance;
      const attempts: Case[] = [...one.attempts];
      const getGeneration = () => {
        const attempt = attempts.shift();
        if (!attempt.error) return { generation: generation({}) };
        timers.pass(attempt.takes * 1000);
        throw refused(attempt.error);
      };
      const { client } = await serve(t, "grpc", { generations: { getGeneration } }, { timers });
      const result = await client.get("g", { timeoutMs: one.timeout * 1000 }).catch((thrown: unknown) => thrown);
      assert.deepEqual(timers.slept.map(Math.round), one.expect.slept.map(inMs));
      assert.equal(result instanceof hfgateway.GatewayError ? "error" : "response", one.expect.outcome);
      assert.deepEqual(attempts, []);
      if (result instanceof hfgateway.GatewayError)
        assert.equal(result.reason, one.attempts.at(one.expect.error ?? -1).error.reason);
    });
  }

  for (const one of cases("retries", "watches")) {
    test(`watches: ${one.name}`, async (t) => {
      const timers = new FakeTimers();
      timers.random = () => one.chance;
      const streams: Case[] = [...one.streams];
      let revision = 0;
      async function* watchGeneration() {
        const stream = streams.shift();
        for (const kind of stream.messages) {
          if (kind === "heartbeat") yield {};
          else yield { generation: generation({ revision: ++revision, done: kind === "done" }) };
        }
        if (stream.error) throw refused(stream.error);
      }
      const { client } = await serve(t, "grpc", { generations: { watchGeneration } }, { timers });
      const seen: number[] = [];
      let outcome = "end";
      try {
        for await (const changed of client.watch("g")) seen.push(changed.revision);
      } catch (error) {
        assert(error instanceof hfgateway.GatewayError);
        outcome = "error";
      }
      assert.deepEqual(timers.slept.map(Math.round), one.expect.slept.map(inMs));
      assert.equal(outcome, one.expect.outcome);
      assert.deepEqual(
        seen,
        Array.from({ length: revision }, (_, index) => index + 1),
      );
      assert.deepEqual(streams, []);
    });
  }
});

describe("cursor.json", () => {
  for (const one of cases("cursor", "watches")) {
    test(`watches: ${one.name}`, async (t) => {
      const opened: number[] = [];
      async function* watchGeneration({ afterRevision }: stubs.WatchGenerationRequest) {
        const stream = one.streams[opened.push(afterRevision) - 1];
        for (const message of stream.messages) yield fromJson(stubs.WatchGenerationResponseSchema, message);
        if (stream.ends === "breaks") throw refused({ code: "UNAVAILABLE", reason: "" });
      }
      const { client } = await serve(t, "grpc", { generations: { watchGeneration } });
      const seen = await collected(client.watch("g1", { afterRevision: one.after_revision }));
      assert.deepEqual(
        seen.map((changed) => changed.revision),
        one.streams.flatMap((stream: Case) => stream.delivered),
      );
      assert.deepEqual(
        opened,
        one.streams.map((stream: Case) => stream.after_revision),
      );
    });
  }

  for (const one of cases("cursor", "cases")) {
    test(`cases: ${one.name}`, () => {
      const cursor = new WatchCursor(one.resume_token);
      for (const stream of one.streams) {
        assert.equal(cursor.resumeToken, stream.opened_with);
        const events: hfgateway.WatchEvent[] = [];
        for (const message of stream.messages) {
          events.push(...cursor.received(fromJson(stubs.WatchGenerationsResponseSchema, message)));
        }
        assert.deepEqual(events.map(asJson), stream.events);
      }
    });
  }

  function asJson(event: hfgateway.WatchEvent): JsonObject {
    const said = { event: event.type === "caughtUp" ? "caught_up" : event.type, resume_token: event.resumeToken };
    switch (event.type) {
      case "changed":
        return { ...said, id: event.generation.id, revision: event.generation.revision };
      case "missing":
        return { ...said, ids: [...event.ids] };
      case "forecasts": {
        const progress = Object.entries(event.forecasts).map(([id, forecast]) => [id, forecast.progress]);
        return { ...said, progress: Object.fromEntries(progress) };
      }
      default:
        return said;
    }
  }
});

describe("inputs.json", () => {
  for (const one of cases("inputs", "inputs")) {
    test(`inputs: ${one.name}`, () => {
      const made = constructed(one.constructor, one.arguments);
      assert.deepEqual(made, fromJson(stubs.GenerationInputSchema, one.input));
    });
  }

  function constructed(name: string, given: Case): stubs.GenerationInput {
    const { prompt, image_urls, image_url, audio_url, model_id, parameters, motions, ...rest } = given;
    const options = { ...camel(rest), ...(motions && { motions: withoutNull(motions) }) };
    switch (name) {
      case "soul":
        return hfgateway.soul(prompt, options);
      case "dop":
        return hfgateway.dop(prompt, image_urls, options);
      case "speak":
        return hfgateway.speak(image_url, audio_url, prompt, options);
      default:
        return hfgateway.model(model_id, parameters, options);
    }
  }

  for (const one of cases("inputs", "requests")) {
    test(`requests: ${one.name}`, async (t) => {
      const schema = (stubs as unknown as Record<string, DescMessage>)[`${one.message}Schema`]!;
      const seen: JsonValue[] = [];
      const unary = (request: unknown) => {
        seen.push(toJson(schema, request as never));
        return {};
      };
      async function* stream(request: unknown) {
        yield* [];
        unary(request);
        throw new ConnectError("a watch that ended would be resumed", Code.NotFound);
      }
      const script: Script = {
        generations: {
          submitGeneration: unary,
          listGenerations: unary,
          waitGeneration: unary,
          watchGeneration: stream,
          watchGenerations: stream,
        },
        tokens: { createWatchToken: unary },
      };
      const { client } = await serve(t, "grpc", script);
      const call = called(client, one.method, one.arguments);
      await (one.method.startsWith("watch") ? assert.rejects(call, { name: "NotFound" }) : call);
      assert.deepEqual(seen, [toJson(schema, fromJson(schema, one.request))]);
    });
  }

  function called(client: hfgateway.GatewayClient, method: string, given: Case): Promise<unknown> {
    const { input, id, ...rest } = given;
    const options = camel(rest);
    for (const name of ["createdAfter", "createdBefore"]) if (options[name]) options[name] = new Date(options[name]);
    switch (method) {
      case "submit":
        return client.submit(fromJson(stubs.GenerationInputSchema, input), options);
      case "list":
        return collected(client.list(options));
      case "watch":
        return collected(client.watch(id, options));
      case "watch_many":
        return collected(client.watchMany(options));
      case "create_watch_token":
        return client.createWatchToken(options);
      default:
        throw new Error(`no ${method}`);
    }
  }
});

const TIMES = new Set(["wait_timeout", "start_timeout", "outputs_ttl", "forecast_interval", "ttl"]);

/** Converts the arguments to this client's names, with times in milliseconds. */
function camel(given: Case): Record<string, Case> {
  const entries = Object.entries<Case>(given).map(([name, value]) => {
    const words = name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
    return TIMES.has(name) ? [`${words}Ms`, inMs(value)] : [words, value];
  });
  return Object.fromEntries(entries);
}

function withoutNull(values: Case): Case {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value ?? undefined]));
}

function inMs(seconds: number): number {
  return Math.round(seconds * 1000);
}
