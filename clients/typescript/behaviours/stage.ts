/** The environment of behaviours: the gateway's addresses, the harness, and clients. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import * as node from "@hfgateway/client";
import * as browser from "@hfgateway/client/browser";

/** The timeout of one step in milliseconds. Passing steps stay far below it. */
export const PATIENCE_MS = 30_000;

export const TRANSPORTS = ["grpc", "connect", "grpc-web"] as const;
export type Transport = (typeof TRANSPORTS)[number];

export type Behaviour = (stage: Stage) => Promise<void>;
export type Behaviours = Readonly<Record<string, Behaviour>>;

/** The environment of one run over one transport, and a client of the gateway. */
export class Stage {
  readonly transport: Transport;
  readonly apiKey = variable("HFG_API_KEY");
  readonly otherApiKey = variable("HFG_OTHER_API_KEY");
  readonly namedAddress = variable("HFG_NAMED_ADDRESS");
  readonly harness = variable("HFG_CONTROL");
  readonly tlsAddress = variable("HFG_TLS_ADDRESS");
  readonly tlsCa = variable("HFG_TLS_CA");
  readonly client: node.GatewayClient;

  constructor(transport: Transport) {
    this.transport = transport;
    this.client = this.another();
  }

  /** A client with its own connection: from the entry for Node over gRPC, otherwise from the entry for browsers. */
  another(options: node.CommonOptions = {}): node.GatewayClient {
    const given = { apiKey: this.apiKey, ...options };
    if (this.transport === "grpc") return node.createClient({ address: variable("HFG_ADDRESS"), ...given });
    const protocol = this.transport === "connect" ? browser.connect : browser.grpcWeb;
    return browser.createClient({ baseUrl: variable("HFG_HTTP"), protocol, ...given });
  }

  /** Sends a request to the harness and returns its response. */
  async control(path: string, body: unknown = {}): Promise<Record<string, unknown>> {
    const answer = await fetch(`${this.harness}/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    const text = await answer.text();
    assert(answer.ok, `${path}: ${text}`);
    return JSON.parse(text);
  }

  /** Advances time at Higgsfield. */
  async advance(seconds: number): Promise<void> {
    await this.control("advance", { seconds });
  }

  /** Resets the connections to the gateway. There must be at least one. */
  async cut(): Promise<void> {
    const { connections } = await this.control("cut");
    assert(Number(connections) > 0, "there was no connection to cut");
  }

  /** Restarts the gateway, which discards any retry delay that Higgsfield asked for. */
  async restart(): Promise<void> {
    await this.control("restart");
  }

  /** Makes Higgsfield fail for one prompt. */
  async plan(prompt: string, fault: object): Promise<void> {
    await this.control("plan", { faults: [{ prompt, ...fault }] });
  }

  /** Checks how many charges and submissions Higgsfield has for a prompt. */
  async charged(prompt: string, charges: number, submissions: number): Promise<void> {
    assert.deepEqual(await this.control("charges", { prompt }), { charges, submissions }, prompt);
  }

  /** Waits until Higgsfield has received the prompt. */
  async submitted(prompt: string): Promise<void> {
    const late = AbortSignal.timeout(PATIENCE_MS);
    while ((await this.control("charges", { prompt })).submissions === 0) {
      late.throwIfAborted();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Submits a generation that Higgsfield accepts but does not start. */
  async queued(prompt: string, options: node.SubmitOptions = {}): Promise<node.Submission> {
    const submission = await this.client.submit(node.soul(prompt), options);
    assert.equal(node.stateName(submission.generation), "QUEUED");
    return submission;
  }

  /** Returns a generation that Higgsfield is running. */
  async running(prompt: string): Promise<node.Generation> {
    const { generation } = await this.queued(prompt);
    await this.advance(1.5);
    return this.until(generation.id, "IN_PROGRESS");
  }

  /** Returns a completed generation. */
  async completed(prompt: string): Promise<node.Generation> {
    const { generation } = await this.queued(prompt);
    await this.advance(60);
    return this.until(generation.id, "COMPLETED");
  }

  /** Watches the generation until it reaches the state. */
  async until(id: string, state: node.StateName): Promise<node.Generation> {
    for await (const generation of this.client.watch(id, { timeoutMs: PATIENCE_MS })) {
      if (node.stateName(generation) === state) return generation;
    }
    throw new Error(`ended without reaching ${state}`);
  }
}

/** Reads up to the first item for which `holds` returns true, and returns it. Adds all items to `seen`. */
export async function nth<T>(items: AsyncGenerator<T>, holds: (item: T) => boolean, seen: T[]): Promise<T> {
  for (;;) {
    const { done, value } = await items.next();
    assert(!done, "the stream ended early");
    seen.push(value);
    if (holds(value)) return value;
  }
}

/** Reads to the end, and returns all items. */
export async function rest<T>(items: AsyncIterable<T>, seen: T[] = []): Promise<T[]> {
  for await (const item of items) seen.push(item);
  return seen;
}

/** Returns the ids of all items, which must be unique. */
export async function idsOf(items: AsyncIterable<{ id: string }>): Promise<string[]> {
  const found = (await rest(items)).map(({ id }) => id);
  assert.equal(new Set(found).size, found.length, `duplicate ids: ${found}`);
  return found;
}

/** Returns the error of a call, which must have this class and reason. */
export async function failing<E extends node.GatewayError>(
  call: Promise<unknown>,
  kind: new (message: string) => E,
  reason: string,
): Promise<E> {
  const error: unknown = await call.then(
    () => undefined,
    (thrown) => thrown,
  );
  assert(error, `the call did not fail with ${kind.name}`);
  if (!(error instanceof kind) || error.constructor !== kind) throw error;
  assert.equal(error.reason, reason);
  return error;
}

/** Returns a prompt, key or label that is used only once. */
export function unique(words: string): string {
  return `${words} ${randomUUID()}`;
}

function variable(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: see docs/clients.md`);
  return value;
}
