"""The clients whose error classes are generated, and their files."""

from __future__ import annotations

from tools.error_tables import ROOT, Language, go, java, python, read, rust, typescript

LANGUAGES: dict[str, Language] = {
    "python": python.LANGUAGE,
    "go": go.LANGUAGE,
    "typescript": typescript.LANGUAGE,
    "java": java.LANGUAGE,
    "rust": rust.LANGUAGE,
}
"""By the names of tools/generate.py."""


def update(name: str, *, check: bool) -> bool:
    """Write the files of a language, or compare them if `check` is set, and print the results.

    Returns False if the check found a difference.
    """
    current = True
    for path, write in LANGUAGES[name].files.items():
        text = write(read())
        stale = not path.exists() or path.read_text() != text
        if stale and not check:
            path.write_text(text)
        current &= not (stale and check)
        outcome = ("NOT up to date; run `make generate`" if check else "changed") if stale else "up to date"
        print(f"{path.relative_to(ROOT)}: {outcome}", flush=True)
    return current
