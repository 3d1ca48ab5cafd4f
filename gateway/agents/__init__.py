"""Sessions of Higgsfield's agents: messages, watches and media. See docs/agents.md."""
