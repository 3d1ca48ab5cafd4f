"""Write the version in `VERSION` into every manifest: `python tools/version.py [--check]`.

Each ecosystem has its own manifest, and some clients report their version. This file lists all of them.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# In each pattern the one group is the version; every match counts, and there has to be one. A file that is not there is
# the affair of a test, which knows what clients there are.
PLACES: tuple[tuple[str, str], ...] = (
    ("pyproject.toml", r'^version = "(.+)"$'),
    ("pyproject.toml", r'"hfgateway-client==(.+)"'),
    ("clients/python/pyproject.toml", r'^version = "(.+)"$'),
    ("clients/python/hfgateway_client/_version.py", r'^__version__ = "(.+)"$'),
    ("clients/go/version.go", r'^const Version = "(.+)"$'),
    ("clients/go/go.mod", r"^\s*(?:require )?github\.com/hfgateway/hfgateway/generated/go v(\S+)$"),
    ("clients/typescript/package.json", r'\A\{\n(?:  .*\n)*?  "version": "(.+)"'),
    ("clients/typescript/package-lock.json", r'\A\{\n(?:  .*\n)*?  "version": "(.+)"'),
    ("clients/typescript/package-lock.json", r'^    "": \{\n(?:      .*\n)*?      "version": "(.+)"'),
    ("clients/typescript/src/version.ts", r'^export const VERSION = "(.+)";$'),
    ("clients/java/pom.xml", r"<artifactId>hfgateway-client</artifactId>\s*<version>(.+)</version>"),
    ("clients/java/README.md", r"<artifactId>hfgateway-client</artifactId>\s*<version>(.+)</version>"),
    (
        "clients/java/src/main/java/io/github/hfgateway/client/HfGatewayClient.java",
        r'^  public static final String VERSION = "(.+)";$',
    ),
    ("clients/rust/Cargo.toml", r'\A\[package\]\n(?:.+\n)*?version = "(.+)"$'),
    ("clients/rust/Cargo.lock", r'^name = "hfgateway-client"\nversion = "(.+)"$'),
)


def with_version(text: str, pattern: str, version: str) -> str:
    """The text with that version in all places. Raises ValueError where there is none."""

    def written(match: re.Match[str]) -> str:
        begin, end = match.start(1) - match.start(), match.end(1) - match.start()
        return match[0][:begin] + version + match[0][end:]

    changed, count = re.subn(pattern, written, text, flags=re.MULTILINE)
    if not count:
        raise ValueError(f"nothing fits {pattern}")
    return changed


def main() -> int:
    version = (ROOT / "VERSION").read_text().strip()
    stale = []
    for name, pattern in PLACES:
        path = ROOT / name
        if not path.exists():
            continue
        try:
            wanted = with_version(path.read_text(), pattern, version)
        except ValueError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        if path.read_text() != wanted:
            stale.append(name)
            if "--check" not in sys.argv[1:]:
                path.write_text(wanted)
    for name in stale if "--check" in sys.argv[1:] else ():
        print(f"{name}: is not of version {version}; run python tools/version.py", file=sys.stderr)
    return 1 if stale and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
