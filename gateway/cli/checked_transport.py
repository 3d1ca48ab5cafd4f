"""The HTTP transport for downloads of outputs, which connects only to addresses that it has checked."""

from __future__ import annotations

import httpx

from gateway import addresses
from gateway.settings.values import is_loopback_host


class CheckedTransport(httpx.HTTPTransport):
    """Resolves the host of each request once, checks its addresses, and connects to one of them.

    There is no second lookup that could return another address (DNS rebinding). TLS verifies the name in the URL. With
    `local`, a URL whose host is a loopback address is allowed as well. The proxy settings of the environment are not
    used, because a proxy would resolve the name itself.
    """

    def __init__(self, *, local: bool) -> None:
        # The pool knows a connection by its address. If it were kept, a request for another host could be sent on it.
        super().__init__(limits=httpx.Limits(max_keepalive_connections=0))
        self._local = local

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request. Raises OSError if the host has an address that is not allowed."""
        host = request.url.raw_host.decode("ascii")
        failed: httpx.TransportError = httpx.ConnectError("its host has no address")
        for address in self._checked_addresses(host):
            try:
                return super().handle_request(
                    httpx.Request(
                        request.method,
                        request.url.copy_with(host=address),
                        headers=request.headers,
                        stream=request.stream,
                        extensions={**request.extensions, "sni_hostname": host},
                    )
                )
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failed = error
        raise failed

    def _checked_addresses(self, host: str) -> list[str]:
        networks = addresses.LOOPBACK if self._local and is_loopback_host(host) else ()
        try:
            resolved = [host] if addresses.literal(host) else _resolve(host)
            allowed = all(addresses.allowed(address, networks) for address in resolved)
        except ValueError:  # the host is neither a name nor an address in its usual form
            allowed = False
        if not allowed:
            raise OSError("it leads to an address that is not public")
        return resolved


def check_redirect(response: httpx.Response) -> None:
    """Refuse a redirect to another origin that is not https, or to this machine. Raises httpx.InvalidURL."""
    if not response.has_redirect_location:
        return
    source, target = response.url, response.url.join(response.headers["location"])
    if (target.scheme, target.host, target.port) == (source.scheme, source.host, source.port):
        return
    if target.scheme != "https" or is_loopback_host(target.host):
        raise httpx.InvalidURL("it redirects to a URL that is not https or not public")


def _resolve(host: str) -> list[str]:
    try:
        return addresses.resolve(host)
    except OSError as error:
        raise httpx.ConnectError(f"its host cannot be resolved: {error}") from error
