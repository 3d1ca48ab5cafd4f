"""The size of each client in lines of code: `python -m tests.clients.sizes`.

A line of code is one that a person wrote, without comments, documentation, blank lines and imports. Unit tests do not
count either. Imports are shown beside them: Java and Python have one for each name or module. The exit code is 1 if a
client is larger than `LIMIT`.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from dataclasses import dataclass

from tests.clients.languages import ROOT

LIMIT = 1550

SOURCES = {
    "python": "hfgateway_client/**/*.py",
    "go": "*.go",
    "typescript": "src/*.ts",
    "java": "src/main/java/**/*.java",
    "rust": "src/*.rs",
}
"""The files of each client, below its folder."""

GENERATED = re.compile(r"\A\W+(?:Code generated|Generated) .* DO NOT EDIT")
RUST_TESTS = re.compile(r"^#\[cfg\(test\)\]\n.*", re.DOTALL | re.MULTILINE)
"""The rest of a file."""
COMMENT_OR_STRING = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`""", re.DOTALL)
IMPORT = re.compile(
    r"^import \([^)]*\)"  # Go
    r"|^(?:import|export)(?: type)? (?:\*|\{[^}]*\})[^;]*;"  # TypeScript
    r"|^import [^\n(]*;"  # Java
    r"|^(?:pub(?:\(crate\))? )?use [^;]*;",  # Rust
    re.MULTILINE,
)


@dataclass(frozen=True)
class Size:
    """A number of lines."""

    code: int
    imports: int

    def __add__(self, other: Size) -> Size:
        return Size(self.code + other.code, self.imports + other.imports)


def size_of_text(text: str) -> Size:
    """Count the lines of a file in Go, TypeScript, Java or Rust."""
    code = COMMENT_OR_STRING.sub(lambda found: "" if found[0].startswith("/") else found[0], RUST_TESTS.sub("", text))
    rest = IMPORT.sub("", code)
    return Size(_lines(rest), _lines(code) - _lines(rest))


def _lines(code: str) -> int:
    return sum(not line.isspace() for line in code.splitlines(keepends=True))


def size_of_python(text: str) -> Size:
    """Count the lines of a Python file. A string that is a statement is documentation."""
    ignored = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in ignored:
            lines.update(range(token.start[0], token.end[0] + 1))
    imports = 0
    for node in ast.walk(ast.parse(text)):
        found = set(range(node.lineno, (node.end_lineno or 0) + 1)) if isinstance(node, ast.stmt) else set()
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports += len(found)
            lines -= found
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines -= found
    return Size(len(lines), imports)


def size_of(client: str) -> Size:
    """Return the size of a client."""
    count = size_of_python if client == "python" else size_of_text
    paths = (ROOT / "clients" / client).glob(SOURCES[client])
    texts = [path.read_text() for path in paths if not path.name.endswith("_test.go")]
    return sum((count(text) for text in texts if not GENERATED.match(text)), Size(0, 0))


def main() -> int:
    sizes = {client: size_of(client) for client in SOURCES}
    for client, size in sizes.items():
        print(f"{client:12}{size.code:6,} lines of code,{size.imports:6,} of imports")
    return 1 if max(size.code for size in sizes.values()) > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
