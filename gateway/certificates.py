"""The certificates of both ports, taken up when their files change: a renewed certificate needs no restart.

Whoever renews a certificate replaces two files, and not at the same instant: until certificate and key belong together
again, handshakes go on with what was there before. Connections that are open stay as they are.
"""

import logging
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

_Look = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Loaded:
    """Files that belong together: for gRPC their bytes, for HTTP a context made of the same."""

    cert: bytes
    key: bytes
    client_ca: bytes | None
    context: ssl.SSLContext


class Certificates:
    """The newest files that belong together. Safe to be asked by any thread, at every handshake."""

    def __init__(self, cert: Path, key: Path, client_ca: Path | None) -> None:
        """Raises OSError where the files cannot be used (`ssl.SSLError` is one)."""
        self._cert, self._key, self._client_ca = cert, key, client_ca
        self._lock = threading.Lock()
        self._seen = self._look()
        self._loaded = self._load()

    @property
    def clients_need_one(self) -> bool:
        """Whether only clients with a certificate are served."""
        return self._client_ca is not None

    def current(self) -> Loaded:
        """What the next handshake shall use."""
        with self._lock:
            # Looked at first: what changes while it is read is read again next time.
            look = self._look()
            if look != self._seen:
                self._seen = look
                self._take_up()
            return self._loaded

    def context(self) -> ssl.SSLContext:
        """A context for a server that keeps it for ever: each handshake takes the current one instead."""
        lasting = _context(self._cert, self._key, self._client_ca)

        def switch(handshake: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
            handshake.context = self.current().context

        lasting.sni_callback = switch
        return lasting

    def _take_up(self) -> None:
        try:
            self._loaded = self._load()
        except OSError as error:
            log.warning("TLS files cannot be used; those before them go on", extra={"error": str(error)})
        else:
            log.info("new TLS files are used")

    def _look(self) -> _Look:
        """What tells one version of the files from another; the same for all that cannot be looked at."""
        files = [path for path in (self._cert, self._key, self._client_ca) if path is not None]
        try:
            return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in (path.stat() for path in files))
        except OSError:
            return ()

    def _load(self) -> Loaded:
        return Loaded(
            self._cert.read_bytes(),
            self._key.read_bytes(),
            None if self._client_ca is None else self._client_ca.read_bytes(),
            _context(self._cert, self._key, self._client_ca),
        )


def _context(cert: Path, key: Path, client_ca: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # A password there never is: nobody could be asked for it.
    context.load_cert_chain(cert, key, password="")
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
