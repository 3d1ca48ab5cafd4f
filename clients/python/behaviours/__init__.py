"""The behaviours of docs/clients.md, performed by the asynchronous client: `python -m behaviours` in clients/python."""
