/**
 * Higgsfield's agents, by the generated stub. It may change between versions, as the API does.
 *
 *     import { agents } from "@hfgateway/client/agents";
 *
 *     const { session } = await agents(client).createSession({ idempotencyKey });
 */

import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { AgentService } from "./gen/hfgateway/agents/v1alpha1/agent_service_pb.js";

export * from "./gen/hfgateway/agents/v1alpha1/agent_service_pb.js";

/**
 * The stub over a client's connection and with its key. It is connect's own: it has no time-out but what a call is given,
 * repeats nothing, its errors are `ConnectError`s, and a stream is ended by its signal, not by leaving the loop.
 */
export function agents(client: { readonly transport: Transport }): Client<typeof AgentService> {
  return createClient(AgentService, client.transport);
}
