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
_RPCS = {
    Scope.READ: (
        "GetGeneration", "ListGenerations", "WaitGeneration", "WatchGeneration", "WatchGenerations",
        "EstimateGeneration", "ExplainGeneration", "CreateWatchToken", "GetCallback", "ListCallbacks",
        "ListDeliveries", "ListModels", "GetModel", "WatchModels", "ListMotions", "ListSoulStyles", "ListPresets",
        "GetCharacter", "ListCharacters", "WatchCharacter", "GetSession", "ListMessages", "WatchSession",
        "ServerReflectionInfo",
    ),
    Scope.SUBMIT: (
        "SubmitGeneration", "AdoptGeneration", "CreateUpload", "UploadMedia", "CreateCharacter", "CreateSession",
        "SendMessage", "CreateMedia", "ConfirmMedia", "CreateCallback", "UpdateCallback", "DeleteCallback",
        "RotateCallbackSecret", "TestCallback", "RedeliverDelivery",
    ),
    Scope.CANCEL: ("CancelGeneration", "DeleteGeneration", "DeleteCharacter", "InterruptSession"),
}  # fmt: skip
REQUIRED_SCOPES = {rpc: scope for scope, rpcs in _RPCS.items() for rpc in rpcs}
"""The scope that each RPC needs. One that is missing here is refused to callers with a key."""
