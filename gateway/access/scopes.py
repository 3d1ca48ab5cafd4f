"""The scopes of an API key: what its callers may do."""

from enum import StrEnum


class Scope(StrEnum):
    """A set of RPCs."""

    READ = "read"
    SUBMIT = "submit"
    CANCEL = "cancel"


ALL = frozenset(Scope)
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
