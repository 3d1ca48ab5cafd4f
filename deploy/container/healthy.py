"""The health check of the container: exits with 0 if the gateway's HTTP port answers /healthz, and with 1 otherwise.

A replica that does not lead is healthy. The certificate is not verified, because it names the public host. If the
gateway requires client certificates, only the TLS 1.3 handshake is checked. It succeeds without a client certificate:
the gateway demands that afterwards.
"""

import os
import socket
import ssl
import sys
import tomllib
import urllib.request
from pathlib import Path


def main() -> int:
    """Return the exit code."""
    config = os.environ.get("HFGATEWAY_CONFIG")
    settings = tomllib.loads(Path(config).read_text("utf-8")) if config else {}
    settings |= {name: text for name, text in os.environ.items() if text.strip()}
    host, _, port = (settings.get("HFGATEWAY_HTTP_ADDRESS") or "127.0.0.1:8080").rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104 # the gateway listens there, too
    cert = settings.get("HFGATEWAY_TLS_CERT")
    context = ssl._create_unverified_context()  # noqa: S323
    url = f"{'https' if cert else 'http'}://{host}:{port}/healthz"
    # Without the proxy of the environment, which is for the world outside.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        if cert and settings.get("HFGATEWAY_TLS_CLIENT_CA"):
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            address = host.strip("[]"), int(port)
            with socket.create_connection(address, timeout=2) as plain, context.wrap_socket(plain):
                return 0
        with direct.open(url, timeout=2) as answer:
            return 0 if answer.status == 200 else 1
    except OSError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
