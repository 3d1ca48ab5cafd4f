"""The live behaviours of docs/clients.md for the Python client: run `python -m behaviours` in clients/python."""
