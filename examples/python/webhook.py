"""Submit a generation, and receive its end as a signed webhook from the gateway."""

from http.server import BaseHTTPRequestHandler, HTTPServer

from hfgateway_client import Client, WebhookError, soul, state_name, verify_webhook

secrets: list[str] = []


class Receiver(BaseHTTPRequestHandler):
    """Verifies and prints each webhook. A real receiver responds first and does its work afterwards."""

    def do_POST(self) -> None:
        """Respond with 2xx. After any other status the gateway sends the webhook again."""
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            generation = verify_webhook(secrets[0], dict(self.headers), body)
        except WebhookError:
            self.send_response(401)
        else:
            print("webhook:", state_name(generation), generation.outputs[0].url)
            self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Keep the server from logging every request."""


with Client("127.0.0.1:50051") as client, HTTPServer(("127.0.0.1", 0), Receiver) as server:
    url = f"http://127.0.0.1:{server.server_port}/hook"
    created = client.create_callback(url, labels={"order": "9"}, idempotency_key="hook-1")
    secrets.append(created.secret)
    submission = client.submit(soul("a letter on a table"), labels={"order": "9"}, idempotency_key="letter-1")
    print("submitted:", submission.id)
    server.handle_request()
    client.delete_callback(created.callback.id)
