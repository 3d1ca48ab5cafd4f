"""Messages and stubs of the package hfgateway.agents.v1alpha1, generated from its protos."""
