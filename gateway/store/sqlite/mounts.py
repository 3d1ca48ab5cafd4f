"""Finds out whether a store is on a network file system, on which SQLite cannot keep a second gateway away."""

import os
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
"""The kernel's table of mounts; only on Linux."""
NETWORK_FILE_SYSTEMS = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "gfs2", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "ocfs2", "orangefs",
    "smb3", "smbfs", "virtiofs",
})  # fmt: skip
"""Types of file systems that several machines can mount. Also all `fuse.…`, such as sshfs, s3fs and GlusterFS."""
LOCAL_FUSE = "fuse.fuse-overlayfs"
"""The files of a container without root."""
NETWORK_ADVICE = "several machines can mount it, and locks of SQLite may not work there: use a local disk or PostgreSQL"


def network_filesystem(file: Path) -> str:
    """Return the type of the network file system that contains a file; "" if it is another one, or not known.

    The file and its folder need not exist.
    """
    try:
        while not file.exists() and file != file.parent:
            file = file.parent
        device = file.stat().st_dev
        lines = MOUNTS.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        fields, _, source = line.partition(" - ")
        kind = source.partition(" ")[0]
        if fields.split()[2] == f"{os.major(device)}:{os.minor(device)}" and _on_network(kind):
            return kind
    return ""


def _on_network(kind: str) -> bool:
    return kind in NETWORK_FILE_SYSTEMS or kind == "fuse" or (kind.startswith("fuse.") and kind != LOCAL_FUSE)
