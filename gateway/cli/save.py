"""Downloads outputs, without credentials, because their URLs may lead to any host."""

from __future__ import annotations

import fcntl
import mimetypes
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

import click

from gateway.cli.output import echo_error

if TYPE_CHECKING:
    import httpx

    from hfgateway_client import Generation

ATTEMPTS = 5
MAX_REDIRECTS = 5
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,5}")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
_STRONG = re.compile(r'"[\x21\x23-\x7e]*"')


def check_folder(folder: Path | None) -> None:
    """Create the folder for outputs, and check that files can be created in it. Raises UsageError.

    Commands call it first, so that a wrong folder is noticed before something is charged.
    """
    if folder is None:
        return
    kind = mimetypes.guess_type(folder.name)[0] or ""
    if kind.startswith(("image/", "video/", "audio/")) and not folder.is_dir():
        raise click.UsageError(f"--save needs a folder, and {folder} looks like a file")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise click.UsageError(f"--save {folder}: no file can be created there ({error.strerror})") from None


def save_outputs(generation: Generation, folder: Path, *, local: bool) -> list[Path | None]:
    """Download the outputs of a generation to `<id>-<n>.<ext>` in a folder.

    A download that breaks off is kept as `.part`. The next attempt, or the next command, resumes it if the server
    confirms by the ETag that the file is the same. `local`: the gateway runs on this machine, and URLs may lead to a
    loopback address.

    Returns:
        A path for each output with a URL; None if it could not be saved, which is printed.
    """
    import httpx

    from gateway.cli.checked_transport import CheckedTransport, check_redirect

    paths: list[Path | None] = []
    with httpx.Client(
        transport=CheckedTransport(local=local),
        follow_redirects=True,
        max_redirects=MAX_REDIRECTS,
        event_hooks={"response": [check_redirect]},
        timeout=60.0,
    ) as client:
        for number, output in enumerate(generation.outputs, 1):
            if not output.url:
                continue
            try:
                folder.mkdir(parents=True, exist_ok=True)
                paths.append(_save(client, output.url, folder / f"{_safe(generation.id)}-{number}"))
            except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
                echo_error(f"output {number} cannot be saved: {_describe(error)}")
                paths.append(None)
    return paths


def _save(client: httpx.Client, url: str, stem: Path) -> Path:
    import httpx

    partial = _Partial(stem)
    with partial.locked():
        for left in reversed(range(ATTEMPTS)):
            try:
                suffix = partial.fetch(client, url)
            except httpx.TransportError:
                if not left or not partial.etag():
                    raise
            else:
                return partial.complete(Path(f"{stem}{suffix}"))
    raise AssertionError("the last attempt returns or raises")


class _Partial:
    """A partial download, with the ETag of its version. Without an ETag the download starts again."""

    def __init__(self, stem: Path) -> None:
        self._file = Path(f"{stem}.part")
        self._note = Path(f"{stem}.part.etag")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let a second command wait that saves the same output: it would write to the same file."""
        while True:
            with self._file.open("ab") as file:
                with suppress(OSError):  # some file systems have no locks
                    fcntl.flock(file, fcntl.LOCK_EX)
                if not self._is_current(file):
                    continue  # the other command has completed its download
                try:
                    yield
                finally:
                    if self._is_current(file) and not self._file.stat().st_size:
                        self._file.unlink()
                return

    def _is_current(self, file: IO[bytes]) -> bool:
        try:
            return os.path.samestat(os.fstat(file.fileno()), self._file.stat())
        except FileNotFoundError:
            return False

    def etag(self) -> str:
        """Return the ETag of the partial download; empty if there is nothing to resume."""
        try:
            return self._note.read_text() if self._file.stat().st_size else ""
        except OSError:
            return ""

    def fetch(self, client: httpx.Client, url: str) -> str:
        """Download the file, or the rest of it, and check its size. Returns the suffix of its name."""
        import httpx

        etag = self.etag()
        size = self._file.stat().st_size if etag else 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={size}-", "If-Range": etag} if etag else {})
        with client.stream("GET", url, headers=headers) as response:
            changed = response.status_code == 206 and response.headers.get("etag", etag) != etag
            if etag and (response.status_code == 416 or changed):
                self._note.unlink()  # the partial download does not belong to this file
                return self.fetch(client, url)
            response.raise_for_status()
            if response.headers.get("content-encoding", "").lower() not in {"", "identity"}:
                raise httpx.RemoteProtocolError("the response is compressed, which was not requested")
            content_range = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
            if response.status_code == 206 and (content_range is None or int(content_range[1]) != size):
                raise httpx.RemoteProtocolError("the response is not the requested part")
            if response.status_code != 206:
                self._note.unlink(missing_ok=True)
                size = 0
            length = int(content_range[2]) if content_range else int(response.headers.get("content-length", -1))
            if length == -1 and response.headers.get("transfer-encoding", "").lower() != "chunked":
                raise httpx.RemoteProtocolError("the response has no length")
            with self._file.open("ab" if size else "wb") as file:
                if not size and _STRONG.fullmatch(response.headers.get("etag", "")):
                    self._note.write_text(response.headers["etag"])
                for chunk in response.iter_raw():
                    size += file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            if length not in (-1, size):
                raise httpx.RemoteProtocolError(f"received {size} bytes of {length}")
            return _suffix(url, response.headers.get("content-type", ""))

    def complete(self, path: Path) -> Path:
        """Rename the complete download."""
        self._note.unlink(missing_ok=True)  # first, because the next command may begin after the rename
        self._file.replace(path)
        return path


def _suffix(url: str, content_type: str) -> str:
    suffix = PurePosixPath(urlsplit(url).path).suffix
    if _SUFFIX.fullmatch(suffix):
        return suffix
    return mimetypes.guess_extension(content_type.partition(";")[0].strip()) or ".bin"


def _safe(generation_id: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", generation_id)


def _describe(error: Exception) -> str:
    """Return the text of an error without URLs, whose query may be a signature."""
    import httpx

    if isinstance(error, httpx.HTTPStatusError):
        return f"HTTP status {error.response.status_code}"
    return re.sub(r"https?://\S+", "its URL", str(error)) or type(error).__name__
