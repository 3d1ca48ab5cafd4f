"""The handlers of the services: each converts a request, calls the core, and converts the result."""
