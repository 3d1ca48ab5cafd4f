"""Write the version in `VERSION` to every file that repeats it: `python tools/version.py [--check]`.

These are the manifests of all ecosystems, and the modules of clients that report their version. With --check, no file
is written, and the exit code is 1 if a file has another version.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Files and regular expressions whose only group is the version. Every match is replaced, and there must be at least
# one. Files that do not exist are skipped; tests/tooling/test_version.py checks that every client is listed.
VERSION_PATTERNS: tuple[tuple[str, str], ...] = (
    ("pyproject.toml", r'^version = "(.+)"$'),
    ("pyproject.toml", r'"hfgateway-client==(.+)"'),
    ("generated/python/pyproject.toml", r'^version = "(.+)"$'),
    ("clients/python/pyproject.toml", r'^version = "(.+)"$'),
    ("clients/python/pyproject.toml", r'"hfgateway-stubs==(.+)"'),
    ("clients/python/hfgateway_client/_version.py", r'^__version__ = "(.+)"$'),
    ("clients/go/version.go", r'^const Version = "(.+)"$'),
    ("clients/go/go.mod", r"^\s*(?:require )?github\.com/hfgateway/hfgateway/generated/go v(\S+)$"),
    ("generated/typescript/package.json", r'^  "version": "(.+)"'),
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
    ("generated/rust/Cargo.toml", r'\A\[package\]\n(?:.+\n)*?version = "(.+)"$'),
    ("clients/rust/Cargo.toml", r'\A\[package\]\n(?:.+\n)*?version = "(.+)"$'),
    ("clients/rust/Cargo.lock", r'^name = "hfgateway-client"\nversion = "(.+)"$'),
)


def with_version(text: str, pattern: str, version: str) -> str:
    """Return the text with `version` in place of the group in every match. Raises ValueError if nothing matches."""

    def replaced(match: re.Match[str]) -> str:
        begin, end = match.start(1) - match.start(), match.end(1) - match.start()
        return match[0][:begin] + version + match[0][end:]

    changed, count = re.subn(pattern, replaced, text, flags=re.MULTILINE)
    if not count:
        raise ValueError(f"nothing matches {pattern}")
    return changed


def main() -> int:
    version = (ROOT / "VERSION").read_text().strip()
    stale = []
    for name, pattern in VERSION_PATTERNS:
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
        print(f"{name}: the version is not {version}; run python tools/version.py", file=sys.stderr)
    return 1 if stale and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
