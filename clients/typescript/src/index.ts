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

import { X509Certificate } from "node:crypto";
import type { ClientHttp2Stream, Http2Session, IncomingHttpHeaders } from "node:http2";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import { Code, ConnectError, decodeBinaryHeader, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { type CommonOptions, GatewayClient } from "./client.js";
import { mediaOfFile, type NodeUploadSource } from "./files.js";
import { fieldsOf } from "./status.js";
import { SYSTEM_TIMERS, type Timers } from "./timers.js";
import { uploadThrough } from "./uploads.js";
import { USER_AGENT } from "./version.js";

export * from "./common.js";
export type { NodeUploadSource } from "./files.js";

/**
 * PEM texts or bytes, as `node:tls` takes them: `ca` has the certificate authorities to trust (default: Node's roots),
 * `cert` and `key` are the client's certificate and key for mTLS (default: none).
 */
export type TlsOptions = Pick<SecureContextOptions, "ca" | "cert" | "key">;

/** Options of `createClient`. */
export interface ClientOptions extends CommonOptions {
  /** Host and port of the gateway's gRPC port. Default: `HFGATEWAY_ADDRESS` of the environment, or `127.0.0.1:50051`. */
  address?: string | undefined;
  /** As in `CommonOptions`. "" is none. Default: `HFGATEWAY_API_KEY` of the environment, or none. */
  apiKey?: CommonOptions["apiKey"];
  /** `true` for TLS with Node's roots, or an object to configure it. Default: plaintext. */
  tls?: boolean | TlsOptions | undefined;
  /** Connect's interceptors. They see every attempt. */
  interceptors?: readonly Interceptor[] | undefined;
}

/**
 * The gateway accepts a ping every 10 s on a connection without data, and closes connections that ping more often ("Too
 * many pings"). Pings detect dead connections, early enough for a retry within the default timeout.
 */
const KEEPALIVE = { pingIntervalMs: 11_000, pingTimeoutMs: 5000, pingIdleConnection: false };

/** The system would wait two minutes for a host that does not respond, and all calls with it. */
const CONNECT_WITHIN_MS = 10_000;

/**
 * Creates a client of the gateway at an address. It connects on the first call, and reconnects if the connection is
 * lost.
 *
 * @throws TypeError if the address is not HOST:PORT; if the API key is not visible ASCII, or would be sent in plaintext;
 *   if `ca` contains no certificate; if `cert` has no `key`, or `key` no `cert`, or they do not belong together.
 */
export function createClient(options: ClientOptions = {}): GatewayClient<NodeUploadSource> {
  const { env } = process;
  const { tls = false, timers = SYSTEM_TIMERS } = options;
  const { address = env.HFGATEWAY_ADDRESS || "127.0.0.1:50051", apiKey = env.HFGATEWAY_API_KEY } = options;
  const baseUrl = originOf(address, tls !== false);
  const sessions = new Sessions(baseUrl, KEEPALIVE, typeof tls === "object" ? complete(tls) : {});
  const connection = {
    url: baseUrl,
    transport: createGrpcTransport({
      baseUrl,
      sessionManager: sessions,
      interceptors: [...(options.interceptors ?? []), connectInTime(sessions, timers)],
    }),
    headers: { "user-agent": USER_AGENT },
    mediaOf: mediaOfFile,
    upload: uploadThrough,
    // Pings detect dead connections.
    silenceMs: Number.POSITIVE_INFINITY,
    fetches: false,
    close: () => sessions.abort(),
  };
  return new GatewayClient(connection, { ...options, apiKey });
}

/**
 * Returns the options, unless Node would connect without the client's certificate, or with an authority that is none, or
 * would find out only then that it cannot use the certificate and its key.
 */
function complete(tls: TlsOptions): TlsOptions {
  if (!tls.cert !== !tls.key) throw new TypeError("a certificate and its key are both needed");
  for (const ca of [tls.ca ?? []].flat()) {
    try {
      new X509Certificate(String(ca));
    } catch (cause) {
      throw new TypeError("ca contains no certificate", { cause });
    }
  }
  try {
    createSecureContext(tls);
  } catch (cause) {
    throw new TypeError(`the certificate or its key cannot be used: ${cause}`, { cause });
  }
  return tls;
}

/** Corrects four faults of Node's streams and of connect. */
class Sessions extends Http2SessionManager {
  readonly #guarded = new WeakSet<Http2Session>();

  override async request(...call: Parameters<Http2SessionManager["request"]>): Promise<ClientHttp2Stream> {
    const stream = await super.request(...call);
    // Node ends a stream before it resets it. The gateway might take an upload that the caller aborts for complete.
    const end = stream._final.bind(stream);
    stream._final = (done) => (stream.aborted ? done() : end(done));
    stream.on("response", repair);
    stream.on("trailers", repair);
    // Connect waits forever for the response of a stream that was reset without an error, as some proxies do.
    let answered = false;
    stream.once("response", () => {
      answered = true;
    });
    stream.once("close", () => {
      const reset = new ConnectError("the stream was reset without a response", Code.Unavailable);
      if (!answered && !stream.rstCode) stream.emit("error", reset);
    });
    // The manager stops listening to a broken session when the next call begins. An error that the session reports
    // later would end the process.
    const { session } = stream;
    if (session && !this.#guarded.has(session)) {
      this.#guarded.add(session);
      session.on("error", () => {});
    }
    return stream;
  }
}

/**
 * Removes details that are not a google.rpc.Status, and encodes a message that has a stray percent sign. Connect would
 * report a broken connection instead of the status.
 */
function repair(headers: IncomingHttpHeaders): void {
  const { "grpc-message": message, "grpc-status-details-bin": details } = headers;
  try {
    if (details) fieldsOf(decodeBinaryHeader(String(details)))[3]?.forEach(fieldsOf);
  } catch {
    delete headers["grpc-status-details-bin"];
  }
  try {
    decodeURIComponent(String(message));
  } catch {
    headers["grpc-message"] = encodeURIComponent(String(message));
  }
}

/**
 * Aborts a connection attempt that takes too long. The calls that wait for it fail, and the next ones connect again.
 */
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
    throw new TypeError(`the address must be HOST:PORT, not ${JSON.stringify(address)}`);
  }
  return url.origin;
}
