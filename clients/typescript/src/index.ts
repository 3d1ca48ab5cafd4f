/**
 * The client for Node: gRPC over HTTP/2.
 *
 *     import { createClient, soul } from "@hfgateway/client";
 *
 *     const client = createClient({ address: "127.0.0.1:50051" });
 *     const generation = await client.generate(soul("a lighthouse at dusk"));
 *     console.log(generation.outputs[0]?.url);
 *     await client.close();
 */

import type { SecureContextOptions } from "node:tls";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { type CommonOptions, GatewayClient } from "./client.js";
import { mediaOfFile, type NodeUploadSource } from "./files.js";
import { SYSTEM_TIMERS, type Timers } from "./timers.js";
import { uploadThrough } from "./uploads.js";
import { USER_AGENT } from "./version.js";

export * from "./common.js";
export type { NodeUploadSource } from "./files.js";

/** PEM texts (or bytes) as `node:tls` takes them: whom to trust (default: Node's roots), and, for mTLS, who we are. */
export type TlsOptions = Pick<SecureContextOptions, "ca" | "cert" | "key">;

export interface ClientOptions extends CommonOptions {
  /** Host and port: `127.0.0.1:50051` unless given. */
  address?: string | undefined;
  /** Plaintext unless given; `true` for TLS with Node's roots. */
  tls?: boolean | TlsOptions | undefined;
}

// The gateway accepts a ping every 10 s on a connection without data; more often ends it with "Too many pings". A watch
// has a heartbeat every 15 s, so there pings find dead connections only; a call that waits has nothing else.
const KEEPALIVE = { pingIntervalMs: 20_000, pingTimeoutMs: 10_000, pingIdleConnection: false };

// The system itself would wait for two minutes for a machine that does not answer, and all calls with it.
const CONNECT_WITHIN_MS = 10_000;

/** A client of the gateway at an address. */
export function createClient(options: ClientOptions = {}): GatewayClient<NodeUploadSource> {
  const { address = "127.0.0.1:50051", tls = false, timers = SYSTEM_TIMERS } = options;
  const baseUrl = originOf(address, tls !== false);
  const sessions = new Http2SessionManager(baseUrl, KEEPALIVE, typeof tls === "object" ? tls : {});
  const connection = {
    transport: createGrpcTransport({
      baseUrl,
      sessionManager: sessions,
      interceptors: [connectInTime(sessions, timers)],
    }),
    headers: { "user-agent": USER_AGENT },
    mediaOf: mediaOfFile,
    upload: uploadThrough,
    // Nobody but the caller and the pings ends a stream.
    silenceMs: Number.POSITIVE_INFINITY,
    close: () => sessions.abort(),
  };
  return new GatewayClient(connection, options);
}

/** Gives up a connection that is not made in time; the calls that wait for it fail, and the next ones try anew. */
function connectInTime(sessions: Http2SessionManager, timers: Timers): Interceptor {
  const giveUp = () => {
    if (sessions.state() === "connecting")
      sessions.abort(new ConnectError("connecting took too long", Code.Unavailable));
  };
  return (next) => async (request) => {
    const answered = timers.after(CONNECT_WITHIN_MS, giveUp);
    try {
      return await next(request);
    } finally {
      answered();
    }
  };
}

function originOf(address: string, secure: boolean): string {
  const url = URL.canParse(`http://${address}`) ? new URL(`${secure ? "https" : "http"}://${address}`) : undefined;
  if (url?.pathname !== "/" || url.username || address.includes("/")) {
    throw new TypeError(`the address has to be HOST:PORT, not ${JSON.stringify(address)}`);
  }
  return url.origin;
}
