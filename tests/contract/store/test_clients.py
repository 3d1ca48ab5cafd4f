"""The shipped clients at replicas: the leader is killed, and no client sees an error.

Each program first has its connections at the other replica, which takes over. That one is killed next, so that the
connections break. Some calls arrive while no replica leads. The programs check their charges.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.clients import languages
from tests.clients.languages import BUILD_TIMEOUT, LANGUAGES, RUN_TIMEOUT, Language, Results, perform

if TYPE_CHECKING:
    from tests.support.postgres import Server

pytestmark = [
    pytest.mark.timeout(BUILD_TIMEOUT + RUN_TIMEOUT),
    pytest.mark.toolchain("postgres"),
    pytest.mark.toolchain("openssl"),
    pytest.mark.toolchain("cc"),
]
NAMES = ("watch_resumes_after_restart", "submit_saturated", "generate")
"""The second one ends with a restart, so that the calls of the third arrive while no replica leads."""
CLIENTS = [one for one in LANGUAGES if one.name != "python-sync"]  # its program has too few of these behaviours


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, postgres: Server) -> dict[str, Results]:
    """The results of all selected languages by name. Each has its own database."""
    chosen = languages.selected(CLIENTS, request)
    with ExitStack() as stack:
        databases = {one.name: stack.enter_context(postgres.database()) for one in chosen}

        async def run(language: Language) -> Results:
            return await perform(language, NAMES, postgres.url(databases[language.name]))

        return languages.run_all(chosen, run)


@languages.for_each(CLIENTS)
def test_a_client_sees_no_error_when_the_leader_is_killed(language: Language, runs: dict[str, Results]) -> None:
    results = runs[language.name]
    text = "\n".join(results.faults)
    assert not results.faults, f"{text}\n\n{results.stderr}"
    assert set(results.held) == set(NAMES)
