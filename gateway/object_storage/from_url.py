"""Makes the object storage that the URL of an archive selects."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gateway.archive.ports import ObjectStorage
from gateway.object_storage.folder import Folder
from gateway.object_storage.s3 import Bucket


def object_storage(url: str, public_url: str | None, environment: Mapping[str, str]) -> ObjectStorage:
    """Return the storage for a URL that `gateway.config` has validated. Contacts no server. Raises ArchiveError.

    `environment` holds the AWS_ variables for a bucket; `public_url` is the base of the files' URLs for callers.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Folder(Path(unquote(parts.path)), public_url)
    return Bucket(parts.netloc, parts.path.strip("/"), environment, public_url)
