package hfgateway

import (
	agents "github.com/hfgateway/hfgateway/generated/go/hfgateway/agents/v1alpha1"
)

// Agents returns the generated stub of Higgsfield's agents. It uses the client's connection and API key, but not its
// timeout and retries: calls have only the deadline of their context, and are not retried. The API is v1alpha1, so it
// may change between versions.
func (c *Client) Agents() agents.AgentServiceClient {
	return agents.NewAgentServiceClient(c.conn)
}
