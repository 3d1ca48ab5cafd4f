"""The error classes of the Python client."""

from __future__ import annotations

from textwrap import wrap

from tools.error_tables import MARK, ROOT, ErrorClass, Language, classes_of_codes, classes_of_reasons, described

WIDTH = 120
TERMS = {
    "BadRequest": "``field_violations``",
    "PreconditionFailure": '``metadata["state"]``',
    "QuotaFailure": '``metadata["limit"]``',
    "RetryInfo": "``retry_delay``",
    "idempotency_key": "idempotency key",
}

HEAD = f'''# {MARK}
"""The errors of failed calls: one class for each gRPC code, and subclasses for the reasons of the gateway."""

# ruff: noqa: N818 - named after the gateway's reasons, without the suffix Error

from __future__ import annotations

from collections.abc import Mapping

import grpc

from hfgateway_client.gateway_error import GatewayError

'''


def write(classes: list[ErrorClass]) -> str:
    """Return the module with the classes and their tables."""
    exported = "".join(f'    "{name}",\n' for name in sorted(one.name for one in classes))
    codes = "".join(f"    grpc.StatusCode.{code}: {name},\n" for code, name in classes_of_codes(classes).items())
    reasons = "".join(f'    "{reason}": {name},\n' for reason, name in classes_of_reasons(classes).items())
    return (
        f"{HEAD}__all__ = [\n{exported}]\n\n\n"
        + "".join(f"class {one.name}({one.base or 'GatewayError'}):\n{_docstring(one)}\n\n" for one in classes)
        + f"BY_CODE: Mapping[grpc.StatusCode, type[GatewayError]] = {{\n{codes}}}\n\n"
        + f"BY_REASON: Mapping[str, type[GatewayError]] = {{\n{reasons}}}\n"
    )


def _docstring(one: ErrorClass) -> str:
    """Return a docstring whose first line is the first sentence."""
    quotes = '"""'
    lead = "" if one.base else f"{one.code}. "
    text = lead + described(one.description, TERMS)
    if len(text) + 2 * len(quotes) + 4 <= WIDTH:
        return f"    {quotes}{text}{quotes}\n"
    summary, _, rest = text.removeprefix(lead).partition(". ")
    lines = [f"{quotes}{lead}{summary}.", "", *wrap(rest, WIDTH - 4), quotes]
    return "".join(f"    {line}".rstrip() + "\n" for line in lines)


LANGUAGE = Language({ROOT / "clients" / "python" / "hfgateway_client" / "_errors.py": write})
