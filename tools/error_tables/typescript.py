"""The error classes of the TypeScript client."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap

from tools.error_tables import MARK, ROOT, ErrorClass, Language, classes_of_codes, classes_of_reasons, described, ends

WIDTH = 120
TERMS = {
    "BadRequest": "`fieldViolations`",
    "PreconditionFailure": "`metadata.state`",
    "QuotaFailure": "`metadata.limit`",
    "RetryInfo": "`retryDelayMs`",
    "idempotency_key": "idempotency key",
}

CLASSES = f"""// {MARK}
/**
 * The errors of failed calls: one class for each gRPC code, and subclasses for the reasons of the gateway. Then the
 * errors of failed generations.
 */

import {{ GatewayError, GenerationFailed }} from "./gatewayerror.js";
"""

TABLES = f"""// {MARK}
/** The error class of each gRPC code, and of each reason of the gateway. */

import * as errors from "./errorclasses.js";
import type {{ ErrorFacts, GatewayError, ReasonName }} from "./gatewayerror.js";
import type {{ GrpcCode }} from "./names.js";

type ErrorClass = new (message: string, facts?: ErrorFacts) => GatewayError;
"""


def write_classes(classes: list[ErrorClass]) -> str:
    """Return the module with the classes, which the package exports."""
    calls = [_class(one.name, one.base or "GatewayError", _text(one)) for one in classes]
    return CLASSES + "".join(calls + [_class(name, ends.BASE, text) for name, text in ends.BELOW.items()])


def write_tables(classes: list[ErrorClass]) -> str:
    """Return the module with the tables, which the package does not export."""
    return (
        TABLES
        + _table("BY_CODE", "GrpcCode", classes_of_codes(classes))
        + _table("BY_REASON", "ReasonName", classes_of_reasons(classes))
    )


def _table(name: str, key: str, rows: Mapping[str, str]) -> str:
    entries = "".join(f"  {row}: errors.{error},\n" for row, error in rows.items())
    return f"\nexport const {name}: Partial<Record<{key}, ErrorClass>> = {{\n{entries}}};\n"


def _text(one: ErrorClass) -> str:
    return ("" if one.base else f"{one.code}. ") + described(one.description, TERMS)


def _class(name: str, base: str, text: str) -> str:
    comment = f"/** {text} */\n"
    if len(comment) > WIDTH:
        comment = "/**\n" + "".join(f" * {line}\n" for line in wrap(text, WIDTH - 3)) + " */\n"
    return f'\n{comment}export class {name} extends {base} {{\n  override name = "{name}";\n}}\n'


SOURCES = ROOT / "clients" / "typescript" / "src"
LANGUAGE = Language({SOURCES / "errorclasses.ts": write_classes, SOURCES / "errortables.ts": write_tables})
