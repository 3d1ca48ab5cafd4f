"""Declares values: dataclasses whose instances never change."""

from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")

KEPT = 1000
"""How many combinations of shared values each class knows. The one used longest ago is forgotten first."""


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(kind: type[T]) -> type[T]:
    """Make a class a dataclass with slots, whose instances mypy does not let anyone change.

    `dataclass(frozen=True)` would also refuse changes at run time. That makes each instance several times as expensive,
    which was a twelfth of the cost of a submission.
    """
    return dataclass(slots=True, unsafe_hash=True)(kind)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def sharing(*names: str) -> Callable[[type[T]], type[T]]:
    """Make a class as `frozen` does, whose instances share the values of the named fields, to save memory.

    Each instance refers to one tuple with all of these values, and instances with equal values refer to the same tuple.
    Name only fields in which most instances agree. Their values must be hashable, and no JSON: there, 1 and True are
    different although they are equal. Reading such a field takes 75 ns, not 15.
    """

    def decorate(kind: type[T]) -> type[T]:
        whole: Any = frozen(kind)
        every = [one.name for one in fields(whole)]
        own = [name for name in every if name not in names]
        # Source text, as in `dataclasses`: a loop over the fields would make each instance twice as expensive.
        lines = [f"def __init__(self, {', '.join(every)}):", f"self._shared = share({', '.join(names)})"]
        lines += [f"self.{name} = {name}" for name in own]
        made: dict[str, Any] = {"share": lru_cache(KEPT)(namedtuple("Shared", names))}
        exec("\n ".join(lines), made)  # noqa: S102 - the names of the fields
        made["__init__"].__defaults__ = whole.__init__.__defaults__
        content = {name: value for name, value in vars(whole).items() if name not in every}
        content |= {name: property(attrgetter(f"_shared.{name}")) for name in names}
        content |= {"__slots__": (*own, "_shared"), "__init__": made["__init__"]}
        compact: type[T] = type(kind.__name__, kind.__bases__, content)
        return compact

    return decorate
