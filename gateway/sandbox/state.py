"""The state of a running sandbox: accounts, ledger, planned and random faults."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from typing import Any

from gateway.sandbox.accounts.account import Account
from gateway.sandbox.clock import Clock
from gateway.sandbox.faults import FaultPlan, RandomFaults
from gateway.sandbox.generations.generation import Generation
from gateway.sandbox.ledger import Ledger
from gateway.sandbox.options import SandboxOptions


class SandboxState:
    """The state that all routes share."""

    def __init__(self, options: SandboxOptions, clock: Clock) -> None:
        self.options = options
        self.clock = clock
        self.reset()

    def reset(self) -> None:
        """Discard all requests, keys, ledger entries, planned faults and changed settings."""
        self.ledger = Ledger()
        self.plan = FaultPlan()
        self.random_faults = RandomFaults(self.options.fail, self.options.seed)
        self.accounts = {
            pair: Account(self.options, self.clock, self.ledger) for pair in self.options.credentials.split()
        }

    def account(self, credentials: str) -> Account | None:
        """Return the account with these credentials (`id:secret`); None if there is none."""
        return self.accounts.get(credentials)

    def generation(self, request_id: str) -> Generation | None:
        """Return a generation of any account; None if there is none."""
        for account in self.accounts.values():
            if request_id in account.generations:
                account.settle()
                return account.generations[request_id]
        return None

    def settle(self) -> None:
        """Bring all accounts, and so the ledger, up to date."""
        for account in self.accounts.values():
            account.settle()

    def change(self, changes: dict[str, Any]) -> dict[str, Any]:
        """Change credits, credentials and settings of an account: of the first one, or of the key id in `account`.

        New credentials replace the old ones. Requests and idempotency keys stay, as after a rotation of API keys.
        Returns the credits and settings; raises ValueError for an unknown account or setting, or a wrong value.
        """
        changes = dict(changes)
        pair = self._credentials_of(changes.pop("account", None))
        account = self.accounts[pair]
        credits, credentials = changes.pop("credits", None), changes.pop("credentials", None)
        amount = account.credits if credits is None else _decimal(credits)
        if credentials is not None and not (isinstance(credentials, str) and ":" in credentials):
            raise ValueError("credentials must be `id:secret`")
        new_id = credentials and credentials.partition(":")[0]
        if any(new_id == one.partition(":")[0] for one in self.accounts if one != pair):
            raise ValueError(f"{new_id} is the key id of another account")
        account.change_settings(account.settings.changed(changes))
        account.credits = amount
        if credentials is not None:
            self.accounts = {credentials if one == pair else one: kept for one, kept in self.accounts.items()}
        return {"credits": str(account.credits), **asdict(account.settings)}

    def describe(self, with_entries: bool) -> dict[str, Any]:
        """Return the ledger as JSON: the totals, and `with_entries` all records and requests."""
        self.settle()
        numbers = self.ledger.summary() | {
            "balance": str(sum((account.credits for account in self.accounts.values()), Decimal()))
        }
        if not with_entries:
            return numbers
        requests = [self._row(generation) for generation in self._generations()]
        return numbers | self.ledger.entries() | {"requests": requests}

    def _generations(self) -> list[Generation]:
        return [generation for account in self.accounts.values() for generation in account.generations.values()]

    def _row(self, generation: Generation) -> dict[str, Any]:
        now = self.clock.now()
        return {
            "request_id": generation.request_id,
            "model": generation.model.slug,
            "prompt": generation.prompt,
            "status": generation.status(now),
            "credits": str(generation.price),
            "refunded": generation.is_refunded(now),
            "created_at": generation.created_at,
            "started_at": generation.started_at,
            "finished_at": generation.finished_at,
            "deleted_at": generation.deleted_at,
            "status_calls": self.ledger.status_calls[generation.request_id],
        }

    def _credentials_of(self, key_id: str | None) -> str:
        """Return the credentials of the account with a key id; of the first account if that is None."""
        for pair in self.accounts:
            if key_id is None or pair.partition(":")[0] == key_id:
                return pair
        raise ValueError(f"no account {key_id}")


def _decimal(value: Any) -> Decimal:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal("nan")
    if not amount.is_finite():
        raise ValueError("credits must be a decimal number")
    return amount
