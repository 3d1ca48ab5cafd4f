"""The clients' error classes are generated from the comments of the protos."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.error_tables import Language, comments, languages, read
from tools.error_tables.languages import LANGUAGES, update

PROTO = """
enum ErrorReason {
  // Never sent.
  ERROR_REASON_UNSPECIFIED = 0;
  // [NOT_FOUND] It does not exist.
  ERROR_REASON_NOT_FOUND = 1;
  // [NOT_FOUND] The pony does
  // not exist.
  ERROR_REASON_PONY_UNKNOWN = 2;
  // Never the error of an RPC. It tired.
  ERROR_REASON_TIRED = 3;
}
"""


@pytest.mark.parametrize("name", LANGUAGES)
def test_the_error_classes_of_a_client_are_up_to_date(name: str) -> None:
    assert update(name, check=True), "run: make generate"


def test_a_reason_has_a_class_below_that_of_its_code() -> None:
    classes = {one.name: one for one in read(PROTO)}
    assert (classes["NotFound"].reason, classes["NotFound"].base) == ("NOT_FOUND", "")
    assert classes["NotFound"].description == "It does not exist."
    pony = classes["PonyUnknown"]
    assert (pony.code, pony.reason, pony.base) == ("NOT_FOUND", "PONY_UNKNOWN", "NotFound")
    assert pony.description == "The pony does not exist."
    assert "Tired" not in classes
    assert (classes["Aborted"].reason, classes["Aborted"].base) == ("", "")


def test_a_reason_with_a_code_that_has_no_class_is_refused() -> None:
    with pytest.raises(ValueError, match=r"PONY_UNKNOWN.*DATA_LOSS"):
        read(PROTO.replace("[NOT_FOUND] The pony", "[DATA_LOSS] The pony"))


def test_an_edited_file_is_reported_and_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(languages, "ROOT", tmp_path)
    monkeypatch.setitem(LANGUAGES, "pony", Language({tmp_path / "errors.pony": lambda classes: classes[0].name}))
    (tmp_path / "errors.pony").write_text("edited")
    assert not update("pony", check=True)
    assert "errors.pony: NOT up to date" in capsys.readouterr().out
    assert (tmp_path / "errors.pony").read_text() == "edited"
    assert update("pony", check=False)
    assert update("pony", check=True)


def test_a_comment_that_is_not_directly_above_a_value_is_not_its_comment() -> None:
    assert comments("// A remark.\n\n// Of one.\nERROR_REASON_ONE = 1;\nERROR_REASON_TWO = 2;\n") == {
        "ONE": "Of one.",
        "TWO": "",
    }
