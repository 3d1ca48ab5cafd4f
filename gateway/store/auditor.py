"""Makes the entries that the parts of the store append to the audit log (docs/audit.md)."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from gateway.access.keys import ApiKey
from gateway.audit import canonical
from gateway.generations.accounts import Pool
from gateway.generations.journal import caller
from gateway.generations.limits.model import Limits
from gateway.generations.model import Generation, State
from gateway.generations.stores import Claim, StoredCredentials

ACTS: Final = {
    "cancel asked": "generation.cancel",
    "reported by cancel": "generation.cancel",
    "accepted by operator": "generation.resolve",
    "expired by operator": "generation.resolve",
}
"""The acts in the audit log, by the steps of generations (`state.step`) that a caller or an operator causes."""


class Auditor:
    """Makes the entries of the audit log, each of which the store writes in the commit of its change.

    The methods return the text of an entry; None if there is none to write. The actor is the caller that the current
    task serves (`journal.caller`). `mode` is the setting: "off", "on" or "inputs". `input_of` returns the JSON of a
    stored input.
    """

    def __init__(self) -> None:
        self.mode = "off"
        self.input_of: Callable[[bytes], object] | None = None

    def claim(self, claim: Claim) -> str | None:
        """Describe a new generation."""
        if self.mode == "off":
            return None
        spec = claim.generation.spec
        details: dict[str, object] = {"model": spec.model_id}
        if claim.request is None:
            act = "generation.adopt" if spec.adopted else "generation.resolve"
            details["request_id"] = claim.fingerprint.decode()
        else:
            act = "generation.submit"
            details["input_sha256"] = claim.fingerprint[1:].hex()
            if self.mode == "inputs" and self.input_of is not None:
                details["input"] = self.input_of(spec.input)
        return self.entry(act, spec.create_time, id=spec.id, tenant=spec.tenant, details=details)

    def save(self, before: Generation, after: Generation, step: str) -> str | None:
        """Describe a new version of a generation, if a caller has caused it."""
        if self.mode == "off" or caller.get() is None:
            return None
        act = ACTS.get(step)
        if act is None and step == "marked" and before.state is State.UNCERTAIN:
            act = "generation.resolve"  # the operator sends it again
        if act is None:
            return None
        details = {"state": after.state.name}
        if act == "generation.resolve" and after.request_id:
            details["request_id"] = after.request_id
        return self.entry(act, after.update_time, id=after.id, tenant=after.tenant, details=details)

    def delete(self, generation: Generation) -> str | None:
        """Describe the deletion of a generation."""
        return self.entry("generation.delete", time.time(), id=generation.id, tenant=generation.tenant)

    def key(self, key: ApiKey) -> str | None:
        """Describe a new API key."""
        details: dict[str, object] = {"name": key.name, "scopes": sorted(key.scopes)}
        if key.expire_time is not None:
            details["expire_time"] = _shown(key.expire_time)
        return self.entry("key.create", key.create_time, id=key.id, tenant=key.tenant, details=details)

    def expiry(self, key: ApiKey, expire_time: float) -> str | None:
        """Describe a new expiry of an API key."""
        details = {"expire_time": _shown(expire_time)}
        return self.entry("key.expire", time.time(), id=key.id, tenant=key.tenant, details=details)

    def limits(self, tenant: str, subject: str, limits: Limits) -> str | None:
        """Describe new limits."""
        if limits == Limits():
            return self.entry("limits.clear", time.time(), id=subject, tenant=tenant)
        given = {name: getattr(limits, name) for name in Limits.__dataclass_fields__}
        details = {name: value for name, value in given.items() if value not in (None, ())}
        return self.entry("limits.set", time.time(), id=subject, tenant=tenant, details=details)

    def credentials(self, stored: StoredCredentials) -> str | None:
        """Describe credentials that were added to an account."""
        details = {"credentials": stored.id}
        return self.entry("account.add", stored.create_time, id=stored.account, tenant=stored.tenant, details=details)

    def pool(self, tenant: str, pool: Pool) -> str | None:
        """Describe the accounts that a tenant uses from now on, in their order: some calls use only the first one."""
        act = "account.assign" if pool else "account.unassign"
        details = {"accounts": [f"{name}={weight}" for name, weight in pool.items()]} if pool else None
        return self.entry(act, time.time(), tenant=tenant, details=details)

    def entry(
        self, act: str, wall: float, *, id: str = "", tenant: str = "", details: Mapping[str, object] | None = None
    ) -> str | None:
        """Return an entry about an act, by the caller of the current task; None if the audit is off."""
        return None if self.mode == "off" else entry_text(act, wall, id, tenant, details)


def entry_text(act: str, wall: float, id: str, tenant: str, details: Mapping[str, object] | None) -> str:
    """Return the text of an entry by the caller of the current task."""
    called = caller.get()
    content: dict[str, object] = {
        "act": act,
        "actor": "gateway" if called is None else called.actor,
        "time": _shown(wall),
    }
    for name, value in (("id", id), ("tenant", tenant), ("details", details)):
        if value:
            content[name] = value
    return canonical(content)


def restored(epoch: str) -> str:
    """Return the entry about a restored store, which has a new epoch."""
    return entry_text("store.restored", time.time(), "", "", {"epoch": epoch})


def _shown(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
