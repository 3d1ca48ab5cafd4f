"""Installs Higgsfield's JavaScript SDK from its lock file. The Python SDK is a development requirement."""

import json
import shutil
from pathlib import Path

from tools.generate import CACHE, install_once, run

SOURCE = Path(__file__).parent / "js"
INSTALLED = CACHE / "sdk-js"


def javascript_version() -> str:
    """Return the version in package.json."""
    return str(json.loads((SOURCE / "package.json").read_text())["dependencies"]["@higgsfield/client"])


def javascript() -> Path:
    """Install the SDK with the scripts beside it if a file of `js/` has changed; return the folder."""
    files = sorted(path for path in SOURCE.iterdir() if path.is_file())
    with install_once(INSTALLED, *(path.read_bytes() for path in files)) as stale:
        if stale:
            INSTALLED.mkdir()
            for file in files:
                shutil.copy(file, INSTALLED)
            run("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", cwd=INSTALLED)
    return INSTALLED
