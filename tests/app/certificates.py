"""Certificates for tests, made by the openssl binary: an authority, and the certificates it signs."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, as files."""

    cert: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """Signs certificates into a folder."""

    pair: Pair
    folder: Path

    @classmethod
    def made(cls, folder: Path, name: str = "authority") -> Authority:
        """Create an authority with a self-signed certificate."""
        pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
        _openssl(
            "req", "-x509", *_key(pair.key), "-out", pair.cert, "-days", "2", "-subj", f"/CN={name}",
            "-addext", "keyUsage=critical,keyCertSign",
        )  # fmt: skip
        return cls(pair, folder)

    @property
    def cert(self) -> Path:
        """The certificate of the authority, for its clients to trust."""
        return self.pair.cert

    def signed(
        self, name: str, days: int = 90, hosts: str = "DNS:localhost,IP:127.0.0.1", kind: str = "prime256v1"
    ) -> Pair:
        """Sign a certificate for the loopback names, or for other `hosts`, that expires in `days` days.

        `kind` is that of its key: a curve, or rsa with its length, such as rsa:2048.
        """
        return self._sign(name, days, f"subjectAltName={hosts}\n", kind)

    def intermediate(self, name: str) -> Authority:
        """Create an authority whose certificate is signed by this one."""
        return Authority(self._sign(name, 90, "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n"), self.folder)

    def _sign(self, name: str, days: int, extensions: str, kind: str = "prime256v1") -> Pair:
        pair = Pair(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        request, extension_file = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extension_file.write_text(extensions)
        _openssl("req", *_key(pair.key, kind), "-out", request, "-subj", f"/CN={name}")
        _openssl(
            "x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.pair.key, "-CAcreateserial",
            "-out", pair.cert, "-days", str(days), "-extfile", extension_file,
        )  # fmt: skip
        return pair


def _key(path: Path, kind: str = "prime256v1") -> tuple[str | Path, ...]:
    new = (kind,) if kind.startswith("rsa:") else ("ec", "-pkeyopt", f"ec_paramgen_curve:{kind}")
    return ("-newkey", *new, "-nodes", "-keyout", path)


def _openssl(*arguments: str | Path) -> None:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
