"""Loads the TLS certificates of all ports, and reloads them when their files change, without a restart.

A renewal replaces the certificate and the key one after the other. Until they match again, new handshakes use the
previous pair. Open connections are not affected.
"""

import contextlib
import logging
import math
import ssl
import threading
import time
from pathlib import Path

from gateway.frozen import frozen

log = logging.getLogger(__name__)

LOAD_RETRY_DELAY = 1.0
"""Seconds after which files that could not be loaded are tried again, even if they have not changed."""
_NO_CHECK_TIME = 0x200000
"""OpenSSL's flag to accept a certificate outside its period of validity."""
_HANDSHAKE_ROUNDS = 4
"""More than a handshake takes: two, and one more if the server asks for another key exchange."""
_Stamp = tuple[tuple[int, int, int, int], ...]


@frozen
class Loaded:
    """A matching certificate and key: the files' bytes for gRPC, and an SSL context made from them for HTTP."""

    cert: bytes
    key: bytes
    client_ca: bytes | None
    context: ssl.SSLContext
    expire_time: float
    """The wall time when the certificate expires; NaN if clients reject it for another reason."""


class Certificates:
    """The newest matching certificate and key. Thread-safe, and cheap enough for every handshake."""

    def __init__(self, cert: Path, key: Path, client_ca: Path | None) -> None:
        """Load the files. Raises OSError, of which `ssl.SSLError` is a subclass, if they cannot be used."""
        self._cert, self._key, self._client_ca = cert, key, client_ca
        self._lock = threading.Lock()
        self._seen = self._stamp()
        self._loaded = self._load()
        self._not_before = 0.0
        self._error = ""
        """Why the files could not be loaded, which is logged once; empty if they were."""

    @property
    def clients_need_one(self) -> bool:
        """Whether clients must present a certificate."""
        return self._client_ca is not None

    def current(self) -> Loaded:
        """Return the files for the next handshake; reload them if they have changed."""
        with self._lock:
            # Take the stamp before reading: if the files change during the read, the next call reads them again.
            stamp = self._stamp()
            if stamp != self._seen or (self._error and time.monotonic() >= self._not_before):
                self._seen = stamp
                self._reload()
            return self._loaded

    def _reload(self) -> None:
        try:
            self._loaded = self._load()
        except OSError as error:
            unusable = find_unusable(self._cert, self._key, self._client_ca)
            why = ": ".join(unusable) if unusable else str(error)
            if why != self._error:
                self._error = why
                log.warning("TLS files cannot be loaded; still using the previous ones", extra={"error": self._error})
            self._not_before = time.monotonic() + LOAD_RETRY_DELAY
        else:
            self._error = ""
            log.info("TLS files reloaded")

    def _stamp(self) -> _Stamp:
        """Return what changes with the files: times, sizes and inodes. Empty if a file is missing.

        A change of the permissions changes only the time of the inode.
        """
        files = [path for path in (self._cert, self._key, self._client_ca) if path is not None]
        try:
            found = [path.stat() for path in files]
            return tuple((stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino) for stat in found)
        except OSError:
            return ()

    def _load(self) -> Loaded:
        context = _context(self._cert, self._key, self._client_ca)
        try:
            _, expire_time = validity(context, self._cert)
        except ssl.SSLError:
            expire_time = math.nan
        if expire_time < time.time():
            log.warning("the TLS certificate has expired: clients refuse it", extra={"file": str(self._cert)})
        return Loaded(
            self._cert.read_bytes(),
            self._key.read_bytes(),
            None if self._client_ca is None else self._client_ca.read_bytes(),
            context,
            expire_time,
        )


def find_unusable(cert: Path, key: Path, client_ca: Path | None) -> tuple[str, str] | None:
    """Return the setting whose file cannot be used, and why; None if all can be used."""
    files = {"HFGATEWAY_TLS_CERT": cert, "HFGATEWAY_TLS_KEY": key}
    if client_ca is not None:
        files["HFGATEWAY_TLS_CLIENT_CA"] = client_ca
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for name, path in files.items():
        try:
            path.read_bytes()
        except OSError:
            return name, "is not a readable file"
        try:
            if path is not key:
                context.load_verify_locations(path)
        except OSError:
            return name, "is not a readable PEM file with certificates"
    try:
        context.load_cert_chain(cert, key, password="")
    except OSError as error:
        if isinstance(error, ssl.SSLError) and error.reason not in {None, "KEY_VALUES_MISMATCH"}:
            return "HFGATEWAY_TLS_KEY", f"cannot be used with TLS_CERT: {error.reason}"  # such as EE_KEY_TOO_SMALL
        return "HFGATEWAY_TLS_KEY", "is not the private key of TLS_CERT in PEM without a password"
    return None


def validity(context: ssl.SSLContext, cert: Path, host: str = "") -> tuple[float, float]:
    """Return the wall times from which and until which a certificate is valid.

    They are what a client sees in a handshake in memory: Python has no function that reads a certificate. `context` is
    the server's. Raises ssl.SSLError if no connection is possible, and ssl.SSLCertVerificationError if a client that
    trusts only this certificate rejects it, but not because of the current time. With `host`, the client connects to
    this host.
    """
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = bool(host)
    client_context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    client_context.load_verify_locations(cert)
    server, client = _connected(context, client_context, host)
    for _ in range(_HANDSHAKE_ROUNDS):
        with contextlib.suppress(ssl.SSLWantReadError):
            client.do_handshake()
            break  # the server would go on, and miss a certificate of the client
        with contextlib.suppress(ssl.SSLWantReadError):
            server.do_handshake()
    else:
        raise ssl.SSLError("the handshake does not end")
    seen = client.getpeercert()
    assert seen is not None
    begins, expires = (ssl.cert_time_to_seconds(str(seen[name])) for name in ("notBefore", "notAfter"))
    return begins, expires


def client_error(cert: Path, key: Path, client_ca: Path) -> str:
    """Return why a server that trusts `client_ca` refuses this certificate of a client; empty if it accepts it."""
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname, client_context.verify_mode = False, ssl.CERT_NONE
    client_context.load_cert_chain(cert, key, password="")
    server, client = _connected(_context(cert, key, client_ca), client_context)
    for _ in range(_HANDSHAKE_ROUNDS):
        with contextlib.suppress(ssl.SSLWantReadError):
            client.do_handshake()
        try:
            server.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
        break
    return ""


def _connected(server: ssl.SSLContext, client: ssl.SSLContext, host: str = "") -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Return the server's and the client's end of a connection in memory, before the handshake."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_end = server.wrap_bio(to_server, to_client, server_side=True)
    return server_end, client.wrap_bio(to_client, to_server, server_hostname=host or None)


def _context(cert: Path, key: Path, client_ca: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # Without a password OpenSSL would prompt for one on the terminal if the key is encrypted.
    context.load_cert_chain(cert, key, password="")
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # gRPC accepts an intermediate authority alone, too
    return context
