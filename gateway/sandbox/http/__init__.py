"""The sandbox's HTTP endpoints: a module of routes for each API, and the middleware around them."""
