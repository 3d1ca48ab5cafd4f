"""Who may call AdminService: keys with the scope admin on its address, and replicas on the leader's gRPC port."""

from gateway.access.identity import OPERATOR, Identity
from gateway.rpc.chain import Chain


class AddressChain(Chain):
    """Guards the calls on the address of AdminService."""

    def identify(self, rpc: str, authorization: str) -> Identity:
        """Return the caller, who needs the scope admin.

        Raises INVALID_CREDENTIALS, GATEWAY_UNAVAILABLE, NOT_ALLOWED.
        """
        assert self.access is not None
        return self.access.identify_admin(authorization)


class ReplicasChain(AddressChain):
    """Guards the calls that replicas forward. Those from the operator's socket of a replica have no credentials."""

    def identify(self, rpc: str, authorization: str) -> Identity:
        """Return the caller. Raises INVALID_CREDENTIALS, GATEWAY_UNAVAILABLE, NOT_ALLOWED."""
        return super().identify(rpc, authorization) if authorization else OPERATOR
