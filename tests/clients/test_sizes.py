"""The clients are thin, and their lines of code are counted right."""

from __future__ import annotations

import pytest

from tests.clients.sizes import LIMIT, SOURCES, Size, size_of, size_of_python, size_of_text

PYTHON = '''"""A module.

With documentation.
"""

from ponies import (
    Pony,
)

NAME = """two
lines"""  # a string that is a value


def ride(pony: Pony) -> None:
    """Ride it."""
    # Carefully.
    pony.ride()
'''
TYPESCRIPT = """/** A module. */
import { type Pony } from "./ponies.js";
export {
  Pony,
} from "./ponies.js";

/* Not
 * code. */
export const url = "https://pony.example"; // not a comment within the text
"""
RUST = """use std::{
    fmt,
};
pub(crate) use ponies::Pony;

/// Rides it.
fn ride() {}

#[cfg(test)]
mod tests {
    fn a_pony_is_ridden() {}
}
"""
GO = 'import (\n\t"fmt"\n\n\t"ponies"\n)\n\n// Ride rides it.\nfunc Ride() {}\n'
JAVA = "import io.ponies.*;\nimport io.ponies.Pony;\n\n/** Rides. */\nclass Ride {\n}\n"


@pytest.mark.parametrize("client", SOURCES)
def test_a_client_is_thin(client: str) -> None:
    size = size_of(client)
    assert 500 < size.code <= LIMIT, f"{client} has {size}: see python -m tests.clients.sizes"


@pytest.mark.parametrize(
    ("text", "size"), [(TYPESCRIPT, Size(1, 4)), (RUST, Size(1, 4)), (GO, Size(1, 4)), (JAVA, Size(2, 2))]
)
def test_documentation_imports_and_unit_tests_do_not_count(text: str, size: Size) -> None:
    assert size_of_text(text) == size


def test_docstrings_do_not_count_and_other_texts_do() -> None:
    assert size_of_python(PYTHON) == Size(4, 3)
