"""Searches all outputs of the gateways that the suite starts for secrets, and fails the test in which one appears.

A gateway process knows its own secrets from its environment: Higgsfield's credentials, webhook secrets, the keys of
stored credentials and the database's password. API keys, watch tokens and the paths of webhooks are recognized by their
forms, which a log line never has whole. Its log lines, its standard output and its metrics are searched as they are
written.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

import pytest

FORMS = re.compile(
    r"hfg_[0-9a-f]+_[\w-]{20,}|hfw_[\w-]{20,}|whsec_[\w+/=-]{20,}|/webhooks/higgsfield/[\w-]{16,}"
    r"|[?&](?:token|X-Amz-Signature|Signature|sig)=(?!\[removed\])[\w%-]{6,}"
)
LEAKS = "TEST_LEAKS"
"""An environment variable of pytest: the file to which gateways report the secrets in their outputs."""
VARIABLES = ("HF_KEY", "HF_CREDENTIALS", "HF_API_SECRET", "HF_SECRET", "PGPASSWORD")
MIN_SECRET_LENGTH = 8
"""Shorter secrets, such as the password "secret", are also ordinary words."""


def secrets(environment: Mapping[str, str]) -> set[str]:
    """Return the secrets in the environment of a gateway."""
    found = {environment.get(name, "") for name in VARIABLES}
    for name in ("HFGATEWAY_WEBHOOK_SECRET", "HFGATEWAY_ACCOUNTS_KEY"):
        found |= set(environment.get(name, "").replace(",", " ").split())
    password = urlsplit(environment.get("HFGATEWAY_STORE_URL", "")).password
    if password:
        found.add(f":{password}@")
    return {secret for secret in found if len(secret) >= MIN_SECRET_LENGTH}


class Canary:
    """Searches texts of one process, and appends what it finds to a file, without the secret."""

    def __init__(self, found: Path, environment: Mapping[str, str]) -> None:
        self._found = found
        self._secrets = secrets(environment)

    def search(self, text: str) -> None:
        """Report a text that has a secret."""
        match = FORMS.search(text)
        leaked = match[0] if match else next((secret for secret in self._secrets if secret in text), None)
        if leaked is not None:
            with self._found.open("a") as found:
                found.write(text.replace(leaked, "[a secret]").rstrip("\n")[:1000] + "\n")

    def watching(self, stream: TextIO) -> TextIO:
        """Make a stream search what is written to it, and return it."""
        write = stream.write

        def searched(text: str) -> int:
            self.search(text)
            return write(text)

        stream.write = searched  # type: ignore[method-assign]
        return stream

    def around(self, exposition: Callable[..., bytes]) -> Callable[..., bytes]:
        """Return a function whose result is searched."""

        def searched(*arguments: Any) -> bytes:
            text = exposition(*arguments)
            self.search(text.decode())
            return text

        return searched


class CanaryPlugin:
    """Fails a test during which a gateway wrote a secret."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="hfgateway-canary-")
        self.found = Path(self._folder.name) / "leaks"
        os.environ[LEAKS] = str(self.found)

    def pytest_unconfigure(self) -> None:
        self._folder.cleanup()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self) -> Generator[None, Any, Any]:
        result = yield
        if self.found.exists():
            leaks = self.found.read_text()
            self.found.unlink()
            pytest.fail(f"A gateway wrote a secret to its log, its output or its metrics:\n{leaks}", pytrace=False)
        return result
