/**
 * The client for browsers, over fetch: Connect, or gRPC-Web where it is asked for.
 *
 *     import { createClient, soul } from "@hfgateway/client/browser";
 *
 *     const client = createClient({ baseUrl: "https://gateway.example", apiKey: watchToken });
 *     for await (const event of client.watchMany({ ids })) …
 *
 * Imports nothing of Node; it works there too.
 */

import type { Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { type CommonOptions, GatewayClient } from "./client.js";
import { mediaOf, uploadPast } from "./uploads.js";
import { USER_AGENT } from "./version.js";

export * from "./common.js";

/** Makes the transport to a URL. */
export type Protocol = (baseUrl: string) => Transport;

/** The Connect protocol, with messages in their binary form. */
export const connect: Protocol = (baseUrl) => createConnectTransport({ baseUrl, useBinaryFormat: true });

/** gRPC-Web, for what stands in between and speaks no Connect. */
export const grpcWeb: Protocol = (baseUrl) => createGrpcWebTransport({ baseUrl });

export interface ClientOptions extends CommonOptions {
  /** The gateway's HTTP port: the page's own origin unless given. */
  baseUrl?: string | undefined;
  /** `connect` unless given. */
  protocol?: Protocol | undefined;
}

// Two of the gateway's heartbeats and a half: a page's connection can die without a word, when its device slept.
const SILENCE_MS = 40_000;

/** A client of the gateway at a URL. */
export function createClient(options: ClientOptions = {}): GatewayClient {
  const { baseUrl = "/", protocol = connect } = options;
  const connection = {
    transport: protocol(baseUrl),
    // The only name that a page may give itself.
    headers: { "x-user-agent": USER_AGENT },
    mediaOf,
    upload: uploadPast,
    silenceMs: SILENCE_MS,
    close: () => {},
  };
  return new GatewayClient(connection, options);
}
