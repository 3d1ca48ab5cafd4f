package hfgateway

import (
	agents "github.com/hfgateway/hfgateway/generated/go/hfgateway/agents/v1alpha1"
)

// Agents is the generated stub of Higgsfield's agents, over the client's connection and with its key. It is gRPC's own: with
// no time-out but the context's, and nothing is repeated. As the API is, it may change between versions.
func (c *Client) Agents() agents.AgentServiceClient {
	return agents.NewAgentServiceClient(c.conn)
}
