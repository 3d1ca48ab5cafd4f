"""The tools that check and document deployments, in a venv below .cache: linters, validators, auditors, Sphinx."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tools.generate import CACHE, ROOT, install_once, run

LOCK = ROOT / "requirements" / "deploy.txt"
FOLDER = CACHE / "deploy"
_TO_JSON = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))"


def tools() -> Path:
    """Install the locked tools if they are missing or out of date; return their bin directory."""
    with install_once(FOLDER, LOCK.read_bytes(), sys.version.encode()) as stale:
        if stale:
            print("deploy: installing requirements/deploy.txt", flush=True)
            uv = Path(sys.executable).parent / "uv"
            run(uv, "venv", "--quiet", "--python", sys.executable, FOLDER)
            run(uv, "pip", "install", "--quiet", "--python", FOLDER / "bin" / "python", "--require-hashes", "-r", LOCK)
    return FOLDER / "bin"


def read_yaml(path: Path) -> list[Any]:
    """Return the documents of a YAML file."""
    found: list[Any] = json.loads(run(tools() / "python", "-c", _TO_JSON, path))
    return found
