/**
 * The client for browsers, over fetch: Connect, or optionally gRPC-Web.
 *
 *     import { createClient, soul } from "@hfgateway/client/browser";
 *
 *     const client = createClient({ baseUrl: "https://gateway.example", apiKey: watchToken });
 *     for await (const event of client.watchMany({ ids })) …
 *
 * It imports nothing from Node, but works there too.
 */

import type { Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { type CommonOptions, GatewayClient } from "./client.js";
import { mediaOf, uploadPast } from "./uploads.js";
import { USER_AGENT } from "./version.js";

export * from "./common.js";

/** Creates the transport to a URL. */
export type Protocol = (baseUrl: string) => Transport;

/**
 * Fetches, and ends the body with the signal. Node's fetch forgets its signal when garbage is collected: a watch that is
 * left would keep its connection.
 */
const fetchAborted: typeof fetch = async (url, init) => {
  const response = await fetch(url, init);
  if (!response.body || !init?.signal) return response;
  return new Response(response.body.pipeThrough(new TransformStream(), { signal: init.signal }), response);
};

/** The Connect protocol with binary messages. */
export const connect: Protocol = (baseUrl) =>
  createConnectTransport({ baseUrl, useBinaryFormat: true, fetch: fetchAborted });

/** gRPC-Web, for proxies that do not support Connect. */
export const grpcWeb: Protocol = (baseUrl) => createGrpcWebTransport({ baseUrl, fetch: fetchAborted });

/** Options of `createClient`. */
export interface ClientOptions extends CommonOptions {
  /** The URL of the gateway's HTTP port. Default: the page's own origin. */
  baseUrl?: string | undefined;
  /** `connect` or `grpcWeb`. Default: `connect`. */
  protocol?: Protocol | undefined;
}

/** Two and a half heartbeats of the gateway. The connection of a page can die unnoticed while its device sleeps. */
const SILENCE_MS = 40_000;

/**
 * Creates a client of the gateway at a URL.
 *
 * @throws TypeError if the URL is not an http or https URL, or the API key is not visible ASCII or would be sent in
 * plaintext to another origin.
 */
export function createClient(options: ClientOptions = {}): GatewayClient {
  const { baseUrl = "/", protocol = connect } = options;
  // fetch would report it as a failure of the connection, which is retried.
  if (!/^https?:$/.test(new URL(baseUrl, "http://page").protocol)) throw new TypeError(`${baseUrl} is not an http URL`);
  const connection = {
    url: baseUrl,
    transport: protocol(baseUrl),
    // A page cannot set the user-agent header.
    headers: { "x-user-agent": USER_AGENT },
    mediaOf,
    upload: uploadPast,
    silenceMs: SILENCE_MS,
    fetches: true,
    close: () => {},
  };
  return new GatewayClient(connection, options);
}
