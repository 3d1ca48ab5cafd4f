"""Makes the object storage that the URL of an archive selects."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gateway.archive.ports import ObjectStorage
from gateway.object_storage.folder import Folder
from gateway.object_storage.s3 import Bucket


def object_storage(url: str, environment: Mapping[str, str]) -> ObjectStorage:
    """Return the storage for a URL that the settings have validated. Contacts no server. Raises ArchiveError.

    `environment` holds the AWS_ variables for a bucket.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Folder(Path(unquote(parts.path)))
    return Bucket(parts.netloc, parts.path.strip("/"), environment)
