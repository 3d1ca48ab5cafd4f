"""Converts Higgsfield accounts and the accounts of tenants."""

from gateway.accounts.manager import AccountState
from gateway.generations.accounts import Pool
from gateway.rpc.messages.wire import timestamp
from hfgateway.admin.v1 import admin_service_pb2 as pb


def account_message(account: AccountState) -> pb.Account:
    """Return the message for an account, which holds no secret."""
    message = pb.Account(name=account.name, tenant=account.tenant)
    for credentials in account.credentials:
        message.credentials.add(
            id=credentials.id,
            create_time=timestamp(credentials.create_time),
            removed=credentials.removed,
            accepted=credentials.accepted,
            in_flight=credentials.in_flight,
        )
    return message


def assignment_message(tenant: str, pool: Pool) -> pb.Assignment:
    """Return the message for the accounts of a tenant."""
    weighted = [pb.WeightedAccount(name=name, weight=weight) for name, weight in pool.items()]
    return pb.Assignment(tenant=tenant, accounts=weighted)
