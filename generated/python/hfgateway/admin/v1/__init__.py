"""Messages and stubs of the package hfgateway.admin.v1, generated from its protos."""
