/**
 * The generated stub of Higgsfield's agents. The API is v1alpha1, so it may change between versions.
 *
 *     import { agents } from "@hfgateway/client/agents";
 *
 *     const { session } = await agents(client).createSession({ idempotencyKey });
 */

import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { AgentService } from "./gen/hfgateway/agents/v1alpha1/agent_service_pb.js";

export * from "./gen/hfgateway/agents/v1alpha1/agent_service_pb.js";

/**
 * Returns the stub over a client's connection, with its API key. It is connect's own client: calls have only the
 * timeout that they are given, are not retried, and reject with a `ConnectError`. Abort the signal to end a stream;
 * leaving the loop does not end it.
 */
export function agents(client: { readonly transport: Transport }): Client<typeof AgentService> {
  return createClient(AgentService, client.transport);
}
