"""Installs Higgsfield's JavaScript SDK from its lock file. The Python SDK is a development requirement."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).parent / "js"
INSTALLED = Path(__file__).parents[2] / ".cache" / "sdk-js"


def javascript_version() -> str:
    """Return the version in package.json."""
    return str(json.loads((SOURCE / "package.json").read_text())["dependencies"]["@higgsfield/client"])


def javascript() -> Path:
    """Install the SDK if its lock file has changed, copy the scripts beside it, and return the folder."""
    INSTALLED.mkdir(parents=True, exist_ok=True)
    for source in SOURCE.iterdir():
        if source.is_file():
            shutil.copy(source, INSTALLED / source.name)
    stamp = INSTALLED / ".installed"
    lock = hashlib.sha256((SOURCE / "package-lock.json").read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != lock:
        npm = shutil.which("npm")
        if npm is None:
            raise RuntimeError("the JavaScript SDK needs node and npm")
        subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=INSTALLED, check=True)
        stamp.write_text(lock)
    return INSTALLED
