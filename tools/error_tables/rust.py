"""The kinds of errors of the Rust client."""

from __future__ import annotations

from textwrap import wrap

import grpc

from tools.error_tables import MARK, ROOT, ErrorClass, Language, classes_of_codes, classes_of_reasons, described, ends

WIDTH = 120
TERMS = {
    "BadRequest": "`field_violations`",
    "PreconditionFailure": "The metadata",
    "QuotaFailure": "The metadata",
    "RetryInfo": "`retry_delay`",
    "idempotency_key": "idempotency key",
}

OTHERS: dict[str, tuple[str, str]] = {
    "Other": ("Any other code.", ""),
    "ClientClosed": ("The client was closed before or during the call. A submitted generation continues.", ""),
    **{name: (f"{text} Only from `generate`.", "GenerationFailed") for name, text in ends.GENERATIONS.items()},
    ends.TRAINING[0]: (f"{ends.TRAINING[1]} Only from `train_character`.", ""),
    "SourceFailed": ("The source could not be read. Only from `upload`.", ""),
    "InvalidConfiguration": ("The address, the API key or a PEM file is invalid. Only from `build`.", ""),
}
"""Kinds that no code or reason identifies, with their comments, and the broader kind of each."""

ENUM = f"""// {MARK}
//! The kinds of errors: one for each gRPC code, and one for each reason of the gateway.

use tonic::Code;

/// What went wrong.
///
/// There is one kind for each gRPC code, and one for each reason of the gateway. Errors with a reason that is newer
/// than this crate, and errors of the transport, have the kind of their code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {{
"""

DEFAULT = "    #[default]\n"

BROADER = """
impl Kind {
    /// Returns the kind of the gRPC code, such as [`Kind::PreconditionFailed`] for [`Kind::KeyReused`].
    ///
    /// For ends of a generation it is [`Kind::GenerationFailed`]; other kinds without a code return themselves.
    #[must_use]
    pub fn broader(self) -> Self {
        match self {
"""

NAMES = """
/// Returns the name of a code, such as "INVALID_ARGUMENT".
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
"""


def write(classes: list[ErrorClass]) -> str:
    """Return the module with the enum and its tables."""
    kinds = [(one.name, _lead(one) + described(one.description, TERMS), one.base) for one in classes]
    kinds += [(name, text, base) for name, (text, base) in OTHERS.items()]
    codes = {f"Code::{_camel(code)}": f"Self::{kind}" for code, kind in classes_of_codes(classes).items()}
    reasons = {f'"{reason}"': f"Some(Self::{kind})" for reason, kind in classes_of_reasons(classes).items()}
    return (
        ENUM
        + "".join(f"{_comment(text)}{DEFAULT if name == 'Other' else ''}    {name},\n" for name, text, _ in kinds)
        + "}\n"
        + BROADER
        + _arms(
            {f"Self::{name}": f"Self::{base}" for name, _, base in kinds if base not in ("", name)}, "itself", "itself"
        )
        + "\n    pub(crate) fn of_code(code: Code) -> Self {\n        match code {\n"
        + _arms(codes, "_", "Self::Other")
        + "\n    pub(crate) fn of_reason(reason: &str) -> Option<Self> {\n        match reason {\n"
        + _arms(reasons, "_", "None")
        + "}\n"
        + NAMES
        + "".join(f'        Code::{_camel(code.name)} => "{code.name}",\n' for code in grpc.StatusCode)
        + "    }\n}\n"
    )


def _lead(one: ErrorClass) -> str:
    return "" if one.base else f"{one.code}. "


def _comment(text: str) -> str:
    return "".join(f"    /// {line}\n" for line in wrap(text, WIDTH - 8))


def _arms(rows: dict[str, str], rest: str, otherwise: str) -> str:
    arms = "".join(f"            {row} => {value},\n" for row, value in (*rows.items(), (rest, otherwise)))
    return f"{arms}        }}\n    }}\n"


def _camel(code: str) -> str:
    return "".join(map(str.capitalize, code.split("_")))


LANGUAGE = Language({ROOT / "clients" / "rust" / "src" / "kind.rs": write})
