"""The admissions of all accounts. Each account has its own queue, gate and limit."""

from collections.abc import Callable

from gateway.errors import Reason
from gateway.generations.accounts import Accounts
from gateway.generations.admission.admission import Admission
from gateway.generations.model import GenerationId, Steady


class Admissions:
    """One admission for each account, made when it is first needed."""

    def __init__(self, accounts: Accounts, make: Callable[[], Admission]) -> None:
        self.accounts = accounts
        self._make = make
        self.by_name: dict[str, Admission] = {}

    def of(self, credentials: str) -> Admission:
        """Return the admission of the account with these credentials."""
        name = self.accounts.name_of(credentials) or credentials
        found = self.by_name.get(name)
        if found is None:
            found = self.by_name[name] = self._make()
        return found

    def note_refusal(self, credentials: str, reason: Reason, now: Steady) -> bool:
        """Learn from a refusal; return whether the account refuses these credentials and has no newer ones.

        If so, or if it has no credits, the other accounts of a pool get new submissions for a while.
        """
        refused = reason is Reason.UPSTREAM_CREDENTIALS_REFUSED and not self.accounts.replaced(credentials)
        if refused or reason is Reason.INSUFFICIENT_CREDITS:
            self.of(credentials).refuse(now)
        return refused

    def tidy(self) -> None:
        """Forget the accounts that were removed."""
        self.by_name = {name: one for name, one in self.by_name.items() if name in self.accounts.by_name}

    def next(self, now: Steady) -> tuple[Admission, GenerationId] | None:
        """Return the id to send next, and the admission that has a slot for it; see `Admission.next`."""
        for admission in self.by_name.values():
            generation_id = admission.next(now)
            if generation_id is not None:
                return admission, generation_id
        return None

    def wakes_at(self, now: Steady) -> float | None:
        """Return the time at which `next` may return another result without an event; None if there is none."""
        times = (admission.wakes_at(now) for admission in self.by_name.values())
        return min((at for at in times if at is not None), default=None)

    def waiting_of(self, tenant: str) -> int:
        """Return the number of waiting generations of a tenant."""
        return sum(admission.waiting_of(tenant) for admission in self.by_name.values())

    def bytes_of(self, tenant: str) -> int:
        """Return the size in bytes of the inputs of a tenant's waiting generations."""
        return sum(admission.bytes_of(tenant) for admission in self.by_name.values())
