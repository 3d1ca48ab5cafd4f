#!/usr/bin/env python3
"""Build the script of the live page, gateway/web/page/app.js. With --check, fail if the file is out of date."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools import typescript  # noqa: E402 - after sys.path
from tools.generate import run  # noqa: E402

PAGE = ROOT / "page"
SERVED = ROOT / "gateway" / "web" / "page"


def build(into: Path) -> None:
    """Check the types, then bundle the page with the client's browser entry into the file `into`."""
    client = typescript.build_client()
    run(client / "node_modules" / ".bin" / "tsc", "--project", PAGE / "tsconfig.json")
    run("node", PAGE / "build.js", into)


def main(arguments: list[str]) -> int:
    """Return 0, or 1 if --check is given and the script is out of date."""
    script = SERVED / "app.js"
    if "--check" not in arguments:
        build(script)
        print(f"page: wrote {script.relative_to(ROOT)}, {script.stat().st_size:,} bytes")
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        wanted = Path(scratch) / "app.js"
        build(wanted)
        if wanted.read_bytes() == script.read_bytes():
            return 0
    print("page: gateway/web/page/app.js is out of date; run `make page`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
