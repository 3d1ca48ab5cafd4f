"""Writes the methods of the asynchronous Java client that make one call, or list: see tools/blocking.py.

A row of `CLASSES` is a method. Its types are those of the RPC, and its comment is that of the RPC in the protos. What
takes more than one call is written by hand in the subclasses.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "generated" / "python")]

from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor  # noqa: E402

from gateway.rpc.services import PUBLIC_SERVICES  # noqa: E402
from tools import error_tables  # noqa: E402

PROTOS = ROOT / "protos" / "hfgateway" / "v1"
METHODS: dict[str, MethodDescriptor] = {
    method.name: method for service in PUBLIC_SERVICES for method in service.methods
}
WIDTH = 120


@dataclass(frozen=True)
class Row:
    """A method with its RPC."""

    name: str
    rpc: str
    argument: str = ""
    """The field of the request that is the argument. Empty for the request itself; a list has both forms."""
    result: str = ""
    """The field of the response that is the result; the items of a list. Empty for the response itself."""


CLASSES: dict[str, list[Row]] = {
    "GenerationRpcs": [
        Row("adopt", "AdoptGeneration"),
        Row("get", "GetGeneration", "id", "generation"),
        Row("list", "ListGenerations", "filter", "generations"),
        Row("cancel", "CancelGeneration", "id", "generation"),
        Row("estimate", "EstimateGeneration", "input"),
        Row("delete", "DeleteGeneration", "id", "removed_upstream"),
        Row("explain", "ExplainGeneration", "id"),
        Row("createUpload", "CreateUpload", "content_type"),
        Row("createWatchToken", "CreateWatchToken"),
    ],
    "CatalogRpcs": [
        Row("listModels", "ListModels", "", "models"),
        Row("getModel", "GetModel", "id", "model"),
        Row("listMotions", "ListMotions", "", "motions"),
        Row("listSoulStyles", "ListSoulStyles", "version", "soul_styles"),
        Row("listPresets", "ListPresets", "model_id", "presets"),
    ],
    "CharacterRpcs": [
        Row("get", "GetCharacter", "id", "character"),
        Row("list", "ListCharacters", "", "characters"),
        Row("delete", "DeleteCharacter", "id"),
    ],
    "CallbackRpcs": [
        Row("get", "GetCallback", "id", "callback"),
        Row("list", "ListCallbacks", "", "callbacks"),
        Row("update", "UpdateCallback", "", "callback"),
        Row("delete", "DeleteCallback", "id"),
        Row("rotateSecret", "RotateCallbackSecret", "id"),
        Row("test", "TestCallback", "id", "delivery"),
        Row("listDeliveries", "ListDeliveries", "callback_id", "deliveries"),
        Row("redeliver", "RedeliverDelivery", "id", "delivery"),
    ],
}


def write(name: str) -> str:
    """Return the source of a class."""
    methods = "\n".join(_list(row) if "page_token" in _request(row) else _unary(row) for row in CLASSES[name])
    imports = "import io.github.hfgateway.v1.*;\nimport java.util.concurrent.CompletableFuture;\n"
    return (
        "// Generated from the protos by tools/java_rpcs.py. DO NOT EDIT!\n"
        f"package io.github.hfgateway.client;\n\n{imports}\n"
        f"/** Methods that make one call, or list. */\nabstract class {name} {{\n"
        f"  final Calls calls;\n\n  {name}(Calls calls) {{\n    this.calls = calls;\n  }}\n\n{methods}}}\n"
    )


def _unary(row: Row) -> str:
    response = METHODS[row.rpc].output_type
    returned, part = response.name, ""
    if row.result:
        returned, part = _type(response.fields_by_name[row.result]), f", {response.name}::get{_camel(row.result)}"
    elif not response.fields:
        returned, part = "Void", ", response -> null"
    parameter, request = _argument(row) if row.argument else (f"{row.rpc}Request request", "request")
    return _method(comment(row.rpc), f"CompletableFuture<{returned}> {row.name}", parameter, f"unary({request}{part})")


def _list(row: Row) -> str:
    response = METHODS[row.rpc].output_type
    item = _type(response.fields_by_name[row.result])
    parameter, request = _argument(row) if row.argument else ("", f"{row.rpc}Request.getDefaultInstance()")
    head = f"Items<{item}> {row.name}"
    short = f"  /** {_summary(row.rpc)} Fetches pages on demand. */\n"
    return f"{short}  public {head}({parameter}) {{\n    return {row.name}({request});\n  }}\n\n" + _method(
        comment(row.rpc, "Fetches pages of the size in the request on demand."),
        head,
        f"{row.rpc}Request request",
        f"list(request, {response.name}::get{_camel(row.result)}List)",
    )


def _method(documentation: str, head: str, parameter: str, call: str) -> str:
    body = f"    return calls.{call};\n"
    if len(body) > WIDTH:
        body = body.replace("(", "(\n        ", 1)
    return f"{documentation}  public {head}({parameter}) {{\n{body}  }}\n"


def _argument(row: Row) -> tuple[str, str]:
    """Return the parameter of a method, and the request with it."""
    camel = _camel(row.argument)
    name = camel[0].lower() + camel[1:]
    return (
        f"{_type(_request(row)[row.argument])} {name}",
        f"{row.rpc}Request.newBuilder().set{camel}({name}).build()",
    )


def _request(row: Row) -> dict[str, FieldDescriptor]:
    return dict(METHODS[row.rpc].input_type.fields_by_name)


def _type(field: FieldDescriptor) -> str:
    named = field.message_type or field.enum_type
    return named.name if named else {field.TYPE_STRING: "String", field.TYPE_BOOL: "Boolean"}[field.type]


def _camel(name: str) -> str:
    return "".join(map(str.capitalize, name.split("_")))


def _proto_comment(rpc: str) -> list[str]:
    """Return the paragraphs of the comment above an RPC; an item of a list is a paragraph that begins with "- "."""
    for path in sorted(PROTOS.glob("*_service.proto")):
        if found := re.search(rf"((?:^  //.*\n)+)  rpc {rpc}\(", path.read_text(), re.MULTILINE):
            lines = re.sub(r"^  // ?", "", found[1], flags=re.MULTILINE)
            return [" ".join(part.split()) for part in re.split(r"\n\n|\n(?=  - )", lines)]
    raise ValueError(f"{rpc} has no comment in the protos")


def _summary(rpc: str) -> str:
    return _coded(_proto_comment(rpc)[0].partition(". ")[0].rstrip(".") + ".")


def comment(rpc: str, addition: str = "") -> str:
    """Return the Javadoc of a method from the comment of its RPC. Errors are exceptions; retries are the client's."""
    classes = {one.reason: one.name for one in error_tables.read() if one.reason}
    text: list[str] = []
    throws: list[str] = []
    for part in _proto_comment(rpc):
        if part == "Errors:" or part.startswith("Retry: "):
            continue
        if error := re.match(r"- [A-Z_]+ \(([A-Z_]+)\): (.*)", part):
            throws.append(f"@throws GatewayException.{classes[error[1]]} if {_coded(error[2].rstrip('.'))}")
        elif part.startswith("- "):
            text += ["<ul>"] if not text[-1].startswith("<li>") else []
            text.append(f"<li>{_coded(part[2:])}")
        else:
            text += ["", f"<p>{_coded(part)}"] if text else [_coded(part)]
    text[0] += f" {addition}" if addition else ""
    text += ["</ul>"] if text[-1].startswith("<li>") else []
    lines = [line for part in text for line in wrap(part, WIDTH - 5) or [""]]
    if throws:
        lines.append("")
    lines += [line for part in throws for line in wrap(part, WIDTH - 5, subsequent_indent="    ")]
    return "  /**\n" + "".join(f"   * {line}".rstrip() + "\n" for line in lines) + "   */\n"


def _coded(text: str) -> str:
    """Mark the names of fields, and escape what HTML does not allow."""
    plain = text.replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"`([^`]+)`|\b((?:\w+\.)*[a-z]+_[a-z_]+)\b", r"{@code \1\2}", plain)
