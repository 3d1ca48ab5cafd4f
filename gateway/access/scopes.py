"""The scopes of an API key: what its callers may do."""

from enum import StrEnum


class Scope(StrEnum):
    """A set of RPCs."""

    READ = "read"
    SUBMIT = "submit"
    CANCEL = "cancel"
    ADMIN = "admin"
    """All of AdminService, for the whole gateway. It permits no call of the other services."""


ALL = frozenset({Scope.READ, Scope.SUBMIT, Scope.CANCEL})
"""All that a tenant may do: the scopes of a key that is created without any. ADMIN is only given by name."""
CANCEL = frozenset({"CancelGeneration", "DeleteGeneration", "DeleteCharacter", "InterruptSession"})
"""The RPCs that end or remove something."""
SUBMIT = frozenset(
    {
        "SubmitGeneration", "AdoptGeneration", "CreateUpload", "UploadMedia", "CreateCharacter", "CreateSession",
        "SendMessage", "CreateMedia", "ConfirmMedia", "CreateCallback", "UpdateCallback", "DeleteCallback",
        "RotateCallbackSecret", "TestCallback", "RedeliverDelivery",
    }
)  # fmt: skip
"""The RPCs that create or change something."""


def scope_of(rpc: str) -> Scope:
    """Return the scope that an RPC needs."""
    if rpc in SUBMIT:
        return Scope.SUBMIT
    return Scope.CANCEL if rpc in CANCEL else Scope.READ
