"""Messages and stubs of the package hfgateway.v1, generated from its protos."""
