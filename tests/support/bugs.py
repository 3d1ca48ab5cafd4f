"""Bugs of the gateway, for tests of what it does about them."""

from __future__ import annotations

from typing import Any

import pytest


def fail_once(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> None:
    """Let the next call of a function raise ZeroDivisionError. All later calls run the function."""
    function, failures = getattr(owner, name), [ZeroDivisionError()]

    def failing(*arguments: Any, **named: Any) -> Any:
        if failures:
            raise failures.pop()
        return function(*arguments, **named)

    monkeypatch.setattr(owner, name, failing)
