"""The exceptions of the Java client: one file, because a nested class belongs to the file of its class."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap

from tools.error_tables import MARK, ROOT, ErrorClass, Language, classes_of_codes, classes_of_reasons, described, ends

WIDTH = 120
TERMS = {
    "BadRequest": "{@link #fieldViolations}",
    "PreconditionFailure": "{@link #metadata}",
    "QuotaFailure": "{@link #metadata}",
    "RetryInfo": "{@link #retryDelay}",
    "idempotency_key": "idempotency key",
}
BASE = "GatewayException"

HEAD = f"""// {MARK}
package io.github.hfgateway.client;

/**
 * A failed call: a status that the gateway returned, or an error of the transport. The base class of all exceptions
 * here.
 *
 * <p>Use the class or {{@link #reason}} to make decisions; the message is a text for people, which may change. There is
 * one class for each gRPC code, with a subclass for each reason of the gateway. Errors with a reason that is newer than
 * this client, and errors of the transport, have the class of their code.
 */
@SuppressWarnings("serial")
public class {BASE} extends DetailedException {{
"""

CANCELED = """
  /**
   * The caller ended the call: its thread was interrupted (and still is), its gRPC Context was canceled, or the client
   * was closed. The generation, if any, continues.
   */
"""

CLOSED = """
  /** The client was closed before or during the call. */
"""


def write(classes: list[ErrorClass]) -> str:
    """Return the base class, with all other classes in it."""
    bases = {one.base for one in classes}
    return (
        f"{HEAD}{_constructor(BASE)}"
        + _function("Returns the error of a call: by its reason, or by its code if no class has the reason.", "of")
        + _switch(
            "facts.reason()",
            {f'"{reason}"': name for reason, name in classes_of_reasons(classes).items()},
            "ofCode(facts)",
        )
        + _function("Returns the error of a code.", "ofCode")
        + _switch("facts.code()", classes_of_codes(classes), f"new {BASE}(facts)")
        + "".join(
            f"\n{_comment(one)}{_class(one.name, one.base or BASE, final=one.name not in bases)}" for one in classes
        )
        + f"{CANCELED}{_class('Canceled', BASE, final=False)}"
        + f"{CLOSED}{_class('ClientClosed', 'Canceled', final=True)}}}\n"
    )


def write_generation_failed(_: list[ErrorClass]) -> str:
    """Return the error of a generation that ended without output, with its subclasses in it."""
    below = "".join(
        f"\n  /** {text} */\n"
        f"  public static final class {name.removeprefix('Generation')} extends {ends.BASE}Exception {{\n"
        f"    {name.removeprefix('Generation')}(Facts facts, Generation generation) {{\n"
        "      super(facts, generation);\n    }\n  }\n"
        for name, text in ends.BELOW.items()
    )
    text = f"{ends.GENERATIONS[ends.BASE]} Only {{@code generate}} throws it."
    key = "    setIdempotencyKey(generation.getIdempotencyKey());\n"
    return _end(f"{ends.BASE}Exception", text, "Generation", "generation", key) + f"{below}}}\n"


def write_training_failed(_: list[ErrorClass]) -> str:
    """Return the error of a training that failed."""
    text = f"{ends.TRAINING[1]} Only {{@link Characters#train}} throws it."
    return _end(f"{ends.TRAINING[0]}Exception", text, "SoulCharacter", "character") + "}\n"


def _end(name: str, text: str, type: str, field: str, more: str = "") -> str:
    """Return a class with what has ended, without its last line."""
    kind = "class" if more else "final class"
    return f"""// {MARK}
package io.github.hfgateway.client;

import io.github.hfgateway.v1.{type};

/** {text} No call failed, so {{@link #code}} is null. */
@SuppressWarnings("serial")
public {kind} {name} extends {BASE} {{
  private final {type} {field};

  {name}(Facts facts, {type} {field}) {{
    super(facts);
    this.{field} = {field};
{more}  }}

  /** Returns the {field} in its final state. */
  public {type} {field}() {{
    return {field};
  }}

  @Override
  public String getMessage() {{
    return super.getMessage() + " ({field} " + {field}.getId() + ")";
  }}
"""


def _constructor(name: str, indent: str = "  ") -> str:
    return f"{indent}{name}(Facts facts) {{\n{indent}  super(facts);\n{indent}}}\n"


def _class(name: str, base: str, *, final: bool) -> str:
    kind = "static final class" if final else "static class"
    return f"  public {kind} {name} extends {base} {{\n{_constructor(name, '    ')}  }}\n"


def _function(description: str, name: str) -> str:
    return f"\n  /** {description} */\n  static {BASE} {name}(Facts facts) {{\n"


def _switch(value: str, cases: Mapping[str, str], otherwise: str) -> str:
    lines = "".join(f"      case {case} -> new {name}(facts);\n" for case, name in cases.items())
    return f"    return switch ({value}) {{\n{lines}      default -> {otherwise};\n    }};\n  }}\n"


def _comment(one: ErrorClass) -> str:
    text = ("" if one.base else f"{one.code}. ") + described(one.description, TERMS)
    if len(text) + len("  /**  */") <= WIDTH:
        return f"  /** {text} */\n"
    return "  /**\n" + "".join(f"   * {line}\n" for line in wrap(text, WIDTH - 5)) + "   */\n"


SOURCES = ROOT / "clients/java/src/generated/java/io/github/hfgateway/client"
LANGUAGE = Language(
    {
        SOURCES / f"{BASE}.java": write,
        SOURCES / f"{ends.BASE}Exception.java": write_generation_failed,
        SOURCES / f"{ends.TRAINING[0]}Exception.java": write_training_failed,
    }
)
