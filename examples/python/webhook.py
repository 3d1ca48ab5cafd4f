"""Submit, and be told the end by a webhook: a signed POST of the gateway to a server of yours."""

from http.server import BaseHTTPRequestHandler, HTTPServer

from hfgateway_client import Client, WebhookError, soul, state_name, verify_webhook

secrets: list[str] = []


class Receiver(BaseHTTPRequestHandler):
    """Takes what is signed, answers at once, and would do its work afterwards."""

    def do_POST(self) -> None:
        """Answer 2xx, or the delivery comes again."""
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            generation = verify_webhook(secrets[0], dict(self.headers), body)
        except WebhookError:
            self.send_response(401)
        else:
            print("told:", state_name(generation), generation.outputs[0].url)
            self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Leave standard error alone."""


with Client("127.0.0.1:50051") as client, HTTPServer(("127.0.0.1", 0), Receiver) as server:
    url = f"http://127.0.0.1:{server.server_port}/hook"
    created = client.create_callback(url, labels={"order": "9"}, idempotency_key="hook-1")
    secrets.append(created.secret)
    submission = client.submit(soul("a letter on a table"), labels={"order": "9"}, idempotency_key="letter-1")
    print("submitted:", submission.id)
    server.handle_request()
    client.delete_callback(created.callback.id)
