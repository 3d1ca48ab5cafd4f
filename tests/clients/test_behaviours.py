"""Every client has the behaviours of docs/clients.md against a real gateway and sandbox, and docs/parity.md agrees.

The clients' programs mostly wait, so the programs of all selected languages run at the same time.
"""

from __future__ import annotations

import pytest

from tests.clients import languages
from tests.clients.languages import BEHAVIOURS, BUILD_TIMEOUT, LANGUAGES, RUN_TIMEOUT, Language, Results, perform
from tests.clients.parity import PAGE, column, read

pytestmark = [
    pytest.mark.timeout(BUILD_TIMEOUT + RUN_TIMEOUT),
    pytest.mark.toolchain("openssl"),
    pytest.mark.toolchain("cc"),
]


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest) -> dict[str, Results]:
    """The results of all selected languages by name."""
    return languages.run_all(languages.selected(LANGUAGES, request), perform)


@languages.for_each(LANGUAGES)
def test_the_client_has_every_behaviour(language: Language, runs: dict[str, Results]) -> None:
    results = runs[language.name]
    text = "\n".join(results.faults)
    assert not results.faults, f"{text}\n\n{results.stderr}"
    assert results.held, "no behaviour at all"
    shown = read(PAGE.read_text()).get(language.title, {})
    wrong = [name for name, cell in column(results).items() if shown.get(name) != cell]
    assert wrong == [], "docs/parity.md differs, run: python -m tests.clients.parity"


def test_the_list_of_behaviours_was_read() -> None:
    assert {"submit", "watch_resumes_after_cut", "watch_many", "generate", "tls"} <= set(BEHAVIOURS)
