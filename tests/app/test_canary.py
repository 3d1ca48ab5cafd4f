"""The canary of the test suite finds a secret in each output of a gateway, and shows it nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.canary import Canary

ENVIRONMENT = {
    "HF_KEY": "an-id:a-secret",
    "HFGATEWAY_WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "HFGATEWAY_STORE_URL": "postgresql://gateway:hunter-two@db.example.com/gateway",
}
SECRETS = (
    *ENVIRONMENT.values(),
    "hfg_0123456789abcdef_0123456789abcdefghijklmn",
    "POST /webhooks/higgsfield/0123456789abcdefghij",
    "https://files.example/a.png?X-Amz-Signature=0123456789",
)


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_found_and_not_repeated(secret: str, tmp_path: Path) -> None:
    found = tmp_path / "leaks"
    Canary(found, ENVIRONMENT).search(f"called {secret} again")
    shown = found.read_text()
    assert "[a secret]" in shown
    assert secret not in shown


@pytest.mark.parametrize("text", ["an-id", "hfg_0123456789abcdef", "/webhooks/higgsfield/[removed]", "a.png?[removed]"])
def test_ids_and_redacted_texts_are_no_secrets(text: str, tmp_path: Path) -> None:
    Canary(tmp_path / "leaks", ENVIRONMENT).search(text)
    assert not (tmp_path / "leaks").exists()
