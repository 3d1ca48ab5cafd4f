"""Installs the JavaScript SDK of Higgsfield from its lock file. The Python SDK is one of our own requirements."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).parent / "js"
INSTALLED = Path(__file__).parents[2] / ".cache" / "sdk-js"


def javascript_version() -> str:
    """The one that is asked for."""
    return str(json.loads((SOURCE / "package.json").read_text())["dependencies"]["@higgsfield/client"])


def javascript() -> Path:
    """The folder in which it stands, with our scripts beside it: installed once per lock file, these copied always."""
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
