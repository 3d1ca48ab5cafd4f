"""The generated parts of the documents are up to date."""

import pytest

from tests.docs.markdown import read
from tests.docs.update import PARTS, updated


@pytest.mark.parametrize(("file", "name"), PARTS, ids=[name for _, name in PARTS])
def test_the_part_is_up_to_date(file: str, name: str) -> None:
    assert read(file) == updated(file, name), "run: python -m tests.docs.update"


def test_every_mark_has_a_generator() -> None:
    for file in {file for file, _ in PARTS}:
        places = read(file).count("<!-- generated: ")
        assert places == sum(1 for known, _ in PARTS if known == file), file
