"""The error variables of the Go client."""

from __future__ import annotations

import re
from collections.abc import Mapping
from textwrap import wrap

from tools.error_tables import MARK, ROOT, ErrorClass, Language, classes_of_codes, classes_of_reasons, described, ends

WIDTH = 116
TERMS = {
    "BadRequest": "[Error.FieldViolations]",
    "PreconditionFailure": 'Metadata["state"]',
    "QuotaFailure": 'Metadata["limit"]',
    "RetryInfo": "[Error.RetryDelay]",
    "idempotency_key": "idempotency key",
}

# Go's tools recognize generated files by this first line.
HEAD = f"""// Code generated {MARK.removeprefix("Generated ").rstrip("!")}.

package hfgateway

import (
	"errors"

	"google.golang.org/grpc/codes"
)

// Errors to match with errors.Is: one for each gRPC code, followed by those of the gateway's reasons with that code. An
// error that matches its reason also matches its code.
var (
"""


ENDS = """)

// Errors of generations and trainings that ended without success. [ErrGenerationFailed] matches every
// [*GenerationError], and [ErrTrainingFailed] every [*TrainingError].
var (
"""


def write(classes: list[ErrorClass]) -> str:
    """Return the file with the variables and their tables."""
    codes = {f"codes.{_camel(code)}": name for code, name in classes_of_codes(classes).items()}
    reasons = {f'"{reason}"': name for reason, name in classes_of_reasons(classes).items()}
    return (
        HEAD
        + "".join(_variable(one.name, _lead(one) + described(one.description, TERMS)) for one in classes)
        + ENDS
        + "".join(
            _variable(name, f"{_name(name)}: {text}") for name, text in (*ends.GENERATIONS.items(), ends.TRAINING)
        )
        + ")\n"
        + _table("byCode", "codes.Code", codes)
        + _table("byReason", "string", reasons)
    )


def _lead(one: ErrorClass) -> str:
    return f"{_name(one.name)}: " if one.base else f"{_name(one.name)} is {one.code}. "


def _variable(error: str, comment: str) -> str:
    text = re.sub(r"(?<!^)(?=[A-Z])", " ", error).lower()
    lines = "".join(f"\t// {line}\n" for line in wrap(comment, WIDTH - 3))
    return f'{lines}\t{_name(error)} = errors.New("{text}")\n'


def _table(name: str, key: str, rows: Mapping[str, str]) -> str:
    width = max(map(len, rows)) + 1  # gofmt aligns the values
    entries = "".join(f"\t{f'{row}:':{width}} {_name(error)},\n" for row, error in rows.items())
    return f"\nvar {name} = map[{key}]error{{\n{entries}}}\n"


def _name(error: str) -> str:
    return f"Err{error.removesuffix('Error')}"


def _camel(code: str) -> str:
    return "Canceled" if code == "CANCELLED" else "".join(map(str.capitalize, code.split("_")))


LANGUAGE = Language({ROOT / "clients" / "go" / "errortables.go": write})
