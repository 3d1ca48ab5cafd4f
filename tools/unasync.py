"""Generate the synchronous Python client from the asynchronous one: `python tools/unasync.py [--check]`.

Each module of `_async` is converted by the regular expressions below and formatted with ruff. Code that they cannot
convert belongs in a module outside `_async`, which both clients share. With --check, no file is written, and the exit
code is 1 if a file is out of date.
"""

import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "clients" / "python" / "hfgateway_client"
SOURCE, TARGET = PACKAGE / "_async", PACKAGE / "_sync"

HEADER = "# Generated from _async by tools/unasync.py. DO NOT EDIT!\n"

# Applied in this order: longer patterns before shorter ones that match a part of them.
REPLACEMENTS = {
    r"\basync (def|with|for)\b": r"\1",
    # A synchronous call reports the server's status itself. Only asyncio needs `result_of`, because a failed write
    # hides the status there.
    r"\bawait result_of\((.+)\)\n": r"\1\n",
    r"\bfrom hfgateway_client\.responses import result_of\n": "",
    r"\bawait asyncio\.to_thread\((\w+), ": r"\1(",
    r"\bawait ": "",
    # A synchronous channel takes its interceptors afterwards.
    r"\breturn (grpc\.)aio\.(.+), interceptors=interceptors\)": r"return \1intercept_channel(\1\2), *interceptors)",
    r"\bgrpc\.aio\.": "grpc.",
    r"\bAsyncGenerator\[(\w+), None\]": r"Generator[\1, None, None]",
    r"\bAsync(Client|Generator)\b": r"\1",
    r"\bAwaitable\[None\]": "None",
    r"\bAwaitable, ": "",
    r"\b__a(enter|exit)__\b": r"__\1__",
    r"\baclosing\b": "closing",
    r"\baiter\(": "iter(",
    r"\basyncio\.sleep\b": "time.sleep",
    r"\bimport asyncio\n": "",
    r"\b_async\b": "_sync",
    r"The client for asyncio\. .*": 'The synchronous client."""',
}


def to_sync(text: str) -> str:
    """Return the synchronous version of a module's source."""
    for pattern, replacement in REPLACEMENTS.items():
        text = re.sub(pattern, replacement, text)
    fixed = _ruff("check", HEADER + text, "--select=I,UP028,SIM117", "--fix", "--unsafe-fixes", "--quiet")
    return _ruff("format", fixed)


def _ruff(command: str, text: str, *options: str) -> str:
    arguments = [sys.executable, "-m", "ruff", command, *options, f"--stdin-filename={TARGET / 'x.py'}", "-"]
    return subprocess.run(arguments, input=text, capture_output=True, text=True, check=True).stdout


def main() -> int:
    generated = {TARGET / path.name: to_sync(path.read_text()) for path in sorted(SOURCE.glob("*.py"))}
    stale = [path for path, text in generated.items() if not path.exists() or path.read_text() != text]
    stale += [path for path in TARGET.glob("*.py") if path not in generated]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.name} is out of date: run python tools/unasync.py", file=sys.stderr)
        return 1 if stale else 0
    TARGET.mkdir(exist_ok=True)
    for path in stale:
        if path in generated:
            path.write_text(generated[path])
        else:
            path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
