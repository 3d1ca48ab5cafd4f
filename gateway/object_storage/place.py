"""From the settings of an archive to the place that they name."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gateway.archive.ports import ObjectStorage
from gateway.object_storage.folder import Folder
from gateway.object_storage.s3 import Bucket


def object_storage(url: str, public_url: str | None, environment: Mapping[str, str]) -> ObjectStorage:
    """The place of a URL that `gateway.config` has checked. Raises ArchiveError; asks no server yet."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Folder(Path(unquote(parts.path)), public_url)
    return Bucket(parts.netloc, parts.path.strip("/"), environment, public_url)
