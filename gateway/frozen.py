"""Declares values: dataclasses whose instances never change."""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(kind: type[T]) -> type[T]:
    """Make a class a dataclass with slots, whose instances mypy does not let anyone change.

    `dataclass(frozen=True)` would also refuse changes at run time. That makes each instance several times as expensive,
    which was a twelfth of the cost of a submission.
    """
    return dataclass(slots=True, unsafe_hash=True)(kind)
