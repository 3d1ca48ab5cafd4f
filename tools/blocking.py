"""Generate the blocking Java client from the asynchronous one: `python tools/blocking.py [--check]`.

The asynchronous methods that make one call are generated too, by tools/java_rpcs.py. Each public method of an
asynchronous class gets a blocking twin with the same comment, which waits for its future or reads its items. What waits
differently is written by hand in HfGatewayClient. With --check, no file is written, and the exit code is 1 if a file is
out of date.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools import java_rpcs  # noqa: E402 - after sys.path

JAVA = ROOT / "clients" / "java" / "src"
PACKAGE = Path("java", "io", "github", "hfgateway", "client")
SOURCE, TARGET = JAVA / "main" / PACKAGE, JAVA / "generated" / PACKAGE

CLASSES = {
    "AsyncHfGatewayClient": "BlockingClient",
    "AsyncCatalog": "Catalog",
    "AsyncCharacters": "Characters",
    "AsyncCallbacks": "Callbacks",
}
"""The blocking twin of each class. HfGatewayClient extends BlockingClient."""

BY_HAND = {"connect", "upload", "withTimeout"}
"""HfGatewayClient reads the source of an upload on the caller's thread."""

WIDTH = 120

METHOD = re.compile(
    r"(?P<comment>  /\*\*(?:(?!\*/).)*?\*/\n)"
    r"  public (?:(?P<kind>CompletableFuture|Items)<(?P<type>\w+)>|Async(?P<group>\w+))"
    r" (?P<name>\w+)\((?P<parameters>[^)]*)\) \{\n",
    re.DOTALL,
)
CLASS = re.compile(
    r"(?P<comment>/\*\*(?:(?!\*/).)*?\*/\n)public final class (?P<name>\w+)(?: extends (?P<base>\w+))?", re.DOTALL
)
PARAMETER = re.compile(r"(?:[\w.]+(?:<[^>]*>)?) (\w+)(?:, |$)")


def to_blocking(text: str) -> str:
    """Return the blocking twin of an asynchronous class, and of the generated class that it extends."""
    head = CLASS.search(text)
    assert head is not None
    source, name = head["name"], CLASSES[head["name"]]
    written = text + (java_rpcs.write(head["base"]) if head["base"] else "")
    methods = [_method(found) for found in METHOD.finditer(written) if found["name"] not in BY_HAND]
    body = "\n".join(methods)
    comment = head["comment"]
    kind = "public final class"
    if name == "BlockingClient":
        comment, kind = (
            "/** The methods of {@link HfGatewayClient} that wait for the asynchronous client. */\n",
            "abstract class",
        )
    imports = [
        f"import {line};\n"
        for line, needed in (
            ("io.github.hfgateway.v1.*", True),
            ("java.time.Duration", "Duration" in body),
            ("java.util.List", "List<" in body),
            ("java.util.function.Consumer", "Consumer<" in body),
            ("java.util.stream.Stream", "Stream<" in body),
        )
        if needed
    ]
    blocking = (
        f"// Generated from {source} by tools/blocking.py. DO NOT EDIT!\n"
        "package io.github.hfgateway.client;\n\n"
        f"{''.join(imports)}\n{comment}{kind} {name} {{\n"
        f"  final {source} async;\n\n  {name}({source} async) {{\n    this.async = async;\n  }}\n\n{body}}}\n"
    )
    links = re.sub(r"\{@link Async(\w+)", r"{@link \1", blocking)
    return links.replace("the watch fails with", "the watch throws")


def _method(found: re.Match[str]) -> str:
    name, item, parameters = found["name"], found["type"], " ".join(found["parameters"].split())
    names = PARAMETER.findall(parameters)
    call = f"async.{name}({', '.join(names)})"
    if found["group"]:
        returned, body = found["group"], f"return new {found['group']}({call});"
    elif found["kind"] == "Items":
        watch = name.startswith("watch")
        returned = f"Watch<{item}>" if watch else f"Stream<{item}>"
        body = f"return new Watch<>({call}){'' if watch else '.stream()'};"
    elif "onProgress" in names:
        returned, call = item, call.replace("onProgress)", "seen)")
        body = f"return Blocking.await(onProgress, seen -> {call});"
    else:
        returned = {"Void": "void", "Boolean": "boolean"}.get(item, item)
        body = f"{'' if returned == 'void' else 'return '}Blocking.await({call});"
    signature = f"  public {returned} {name}({parameters}) {{\n"
    if len(signature) > WIDTH:
        signature = f"  public {returned} {name}(\n      {parameters}) {{\n"
    return f"{found['comment']}{signature}    {body}\n  }}\n"


def main() -> int:
    generated = {
        TARGET / f"{name}.java": to_blocking((SOURCE / f"{source}.java").read_text())
        for source, name in CLASSES.items()
    } | {TARGET / f"{name}.java": java_rpcs.write(name) for name in java_rpcs.CLASSES}
    stale = [path for path, text in generated.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        if "--check" in sys.argv[1:]:
            print(f"{path.name} is out of date: run python tools/blocking.py", file=sys.stderr)
        else:
            path.write_text(generated[path])
    return 1 if stale and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
