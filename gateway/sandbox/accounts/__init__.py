"""An account of the sandbox: its settings, credits, characters and agent sessions."""
