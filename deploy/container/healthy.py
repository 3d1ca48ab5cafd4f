"""The health check of the container: exits with 0 if the gateway's HTTP port answers /healthz, and with 1 otherwise.

A gateway that stands by is healthy. The certificate is not verified, because it names the public host.
"""

import os
import ssl
import sys
import urllib.request


def main() -> int:
    """Return the exit code."""
    host, _, port = os.environ.get("HFGATEWAY_HTTP_ADDRESS", "127.0.0.1:8080").rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104 # the gateway listens there, too
    cert, key = os.environ.get("HFGATEWAY_TLS_CERT"), os.environ.get("HFGATEWAY_TLS_KEY")
    context = ssl._create_unverified_context()  # noqa: S323
    if cert and os.environ.get("HFGATEWAY_TLS_CLIENT_CA"):
        context.load_cert_chain(cert, key)
    url = f"{'https' if cert else 'http'}://{host}:{port}/healthz"
    # Without the proxy of the environment, which is for the world outside.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with direct.open(url, timeout=2) as answer:
            return 0 if answer.status == 200 else 1
    except OSError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
