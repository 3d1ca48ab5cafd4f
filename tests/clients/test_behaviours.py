"""Every client has the behaviours of docs/clients.md against a real gateway and sandbox, and docs/parity.md agrees.

The clients' programs mostly wait, so the programs of all selected languages run at the same time.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.clients.languages import BEHAVIOURS, BUILD_PATIENCE, LANGUAGES, RUN_PATIENCE, Language, Results, perform
from tests.clients.parity import PAGE, column, read

pytestmark = [
    pytest.mark.timeout(BUILD_PATIENCE + RUN_PATIENCE),
    pytest.mark.toolchain("openssl"),
    pytest.mark.toolchain("cc"),
]


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Results]]]:
    """The runs of all selected languages, started at once."""
    ours = [item.name for item in request.session.items if item.path == request.path]
    asked = [language for language in LANGUAGES if any(name.endswith(f"[{language.name}]") for name in ours)]
    with ThreadPoolExecutor(len(LANGUAGES)) as threads:
        yield {language.name: threads.submit(perform, language) for language in asked if language.here}


@pytest.mark.parametrize(
    "language",
    [pytest.param(one, marks=pytest.mark.toolchain(one.toolchain), id=one.name) for one in LANGUAGES],
)
def test_the_client_has_every_behaviour(language: Language, runs: dict[str, Future[Results]]) -> None:
    results = runs[language.name].result()
    text = "\n".join(results.faults)
    assert not results.faults, f"{text}\n\n{results.stderr}"
    assert results.held, "no behaviour at all"
    shown = read(PAGE.read_text()).get(language.title, {})
    wrong = [name for name, cell in column(results).items() if shown.get(name) != cell]
    assert wrong == [], "docs/parity.md differs, run: python -m tests.clients.parity"


def test_the_list_of_behaviours_was_read() -> None:
    assert {"submit", "watch_resumes_after_cut", "watch_many", "generate", "tls"} <= set(BEHAVIOURS)
