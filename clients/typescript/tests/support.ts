/** A scripted gateway on a real socket, clients of every transport, and a fake clock. */

import * as http from "node:http";
import * as http2 from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import type { TestContext } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import * as node from "@hfgateway/client";
import { AgentService } from "@hfgateway/client/agents";
import * as browser from "@hfgateway/client/browser";
import {
  CallbackService,
  CatalogService,
  CharacterService,
  ErrorReason,
  FailureSchema,
  type Generation,
  GenerationSchema,
  GenerationService,
  GenerationState,
  TokenService,
  UploadService,
} from "@hfgateway/client/stubs";

export type Transport = "grpc" | "connect" | "grpc-web";
export const TRANSPORTS: readonly Transport[] = ["grpc", "connect", "grpc-web"];

/** The handlers of the scripted gateway. Methods that are left out are UNIMPLEMENTED. */
export interface Script {
  generations?: Partial<ServiceImpl<typeof GenerationService>>;
  uploads?: Partial<ServiceImpl<typeof UploadService>>;
  tokens?: Partial<ServiceImpl<typeof TokenService>>;
  catalogs?: Partial<ServiceImpl<typeof CatalogService>>;
  characters?: Partial<ServiceImpl<typeof CharacterService>>;
  callbacks?: Partial<ServiceImpl<typeof CallbackService>>;
  agents?: Partial<ServiceImpl<typeof AgentService>>;
}

/** A scripted gateway. */
export class Gateway {
  readonly #transport: Transport;
  readonly #sockets = new Set<Socket>();
  readonly server: http.Server | http2.Http2Server;

  constructor(transport: Transport, script: Script) {
    this.#transport = transport;
    const routes = (router: ConnectRouter) => {
      router.service(GenerationService, script.generations ?? {});
      router.service(UploadService, script.uploads ?? {});
      router.service(TokenService, script.tokens ?? {});
      router.service(CatalogService, script.catalogs ?? {});
      router.service(CharacterService, script.characters ?? {});
      router.service(CallbackService, script.callbacks ?? {});
      router.service(AgentService, script.agents ?? {});
    };
    const handler = connectNodeAdapter({ routes });
    this.server = transport === "grpc" ? http2.createServer(handler) : http.createServer(handler);
    this.server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      // A reset socket reports an error on this side too.
      socket.on("error", () => {});
    });
  }

  get address(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  listen(port = 0): Promise<void> {
    return new Promise((resolve) => this.server.listen(port, "127.0.0.1", resolve));
  }

  /** Resets every connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.cut();
    await closed;
  }

  client(options: node.CommonOptions = {}): node.GatewayClient {
    return clientOf(this.#transport, this.address, options);
  }
}

/** Returns a client: from the entry for Node over gRPC, otherwise from the entry for browsers. */
export function clientOf(transport: Transport, address: string, options: node.CommonOptions): node.GatewayClient {
  if (transport === "grpc") return node.createClient({ address, ...options });
  const protocol = transport === "connect" ? browser.connect : browser.grpcWeb;
  return browser.createClient({ baseUrl: `http://${address}`, protocol, ...options });
}

/** Serves a script until the end of the test, and returns a client of it. */
export async function serve(
  t: TestContext,
  transport: Transport,
  script: Script,
  options: node.CommonOptions = {},
): Promise<{ gateway: Gateway; client: node.GatewayClient; timers: FakeTimers }> {
  const gateway = new Gateway(transport, script);
  await gateway.listen();
  const timers = new FakeTimers();
  const client = gateway.client({ timers, ...options });
  t.after(async () => {
    await client.close();
    await gateway.stop();
  });
  return { gateway, client, timers };
}

/** A clock that advances only when the client sleeps, and records the sleeps. */
export class FakeTimers implements node.Timers {
  readonly slept: number[] = [];
  /** The alarms that are set; tests call them. */
  readonly alarms = new Set<{ ms: number; callback: () => void }>();
  /** Called before each sleep ends. */
  onSleep: () => void | Promise<void> = () => {};
  #now = 1000;

  now = (): number => this.#now;
  random = (): number => 1;

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.slept.push(ms);
    this.#now += ms;
    await this.onSleep();
    signal?.throwIfAborted();
  }

  after(ms: number, callback: () => void): () => void {
    const alarm = { ms, callback };
    this.alarms.add(alarm);
    return () => this.alarms.delete(alarm);
  }

  pass(ms: number): void {
    this.#now += ms;
  }
}

/** Returns a generation as the gateway sends it. */
export function generation(init: MessageInitShape<typeof GenerationSchema>): Generation {
  return create(GenerationSchema, { id: "g", revision: 1, state: GenerationState.QUEUED, ...init });
}

/** Returns an error as the gateway sends it. */
export function refusal(
  code: Code,
  reason: keyof typeof ErrorReason,
  init: MessageInitShape<typeof FailureSchema> = {},
): ConnectError {
  const value = { reason: ErrorReason[reason], message: "refused", ...init };
  return new ConnectError("refused", code, undefined, [{ desc: FailureSchema, value }]);
}

/** Returns the error of a gateway that shuts down. */
export function draining(retryDelayMs = 0): ConnectError {
  const retryDelay = { seconds: BigInt(Math.floor(retryDelayMs / 1000)), nanos: (retryDelayMs % 1000) * 1e6 };
  return refusal(Code.Unavailable, "GATEWAY_UNAVAILABLE", retryDelayMs ? { retryDelay } : {});
}

/** Returns a promise and the function that resolves it. */
export function event<T = void>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

/** Does not respond until the caller leaves. */
export function hang(context: HandlerContext): Promise<never> {
  return new Promise((_, reject) => {
    context.signal.addEventListener("abort", () => reject(context.signal.reason));
  });
}

export async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}
