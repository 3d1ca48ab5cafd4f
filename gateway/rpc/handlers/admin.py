"""The handlers of AdminService: the actions of an operator, for all tenants."""

import asyncio
from collections.abc import AsyncIterator

from gateway.access.identity import Access
from gateway.access.keys import ApiKey
from gateway.access.scopes import Scope
from gateway.accounts.manager import AccountManager
from gateway.agents.service import Agents
from gateway.audit import GENESIS, AuditStore, time_of
from gateway.characters.service import Characters
from gateway.errors import Violation, invalid_field, raise_if_invalid
from gateway.frozen import frozen
from gateway.generations.limits.budgets import Budgets
from gateway.generations.limits.model import Limits, SubjectLimits
from gateway.generations.model import GenerationId
from gateway.generations.ports import Clock
from gateway.generations.resolve import Resolver
from gateway.generations.stores import UsageStore
from gateway.rpc.call import Call
from gateway.rpc.messages import wire
from gateway.rpc.messages.accounts import account_message, assignment_message
from gateway.rpc.messages.convert import parse_seconds, parse_wall_time, require, require_text
from gateway.rpc.messages.pages import SortedPage
from gateway.rpc.messages.subject_limits import NO_KEY, limits_message, limits_of
from gateway.rpc.messages.usage import query_of, response_of
from hfgateway.admin.v1 import admin_service_pb2 as pb

ENTRIES_PER_BATCH = 500
"""Entries of the audit log that are read at once."""
OVERLAP = 86_400.0
"""Seconds for which a key stays valid after its rotation by default."""
SCOPES = {
    pb.API_KEY_SCOPE_READ: Scope.READ,
    pb.API_KEY_SCOPE_SUBMIT: Scope.SUBMIT,
    pb.API_KEY_SCOPE_CANCEL: Scope.CANCEL,
    pb.API_KEY_SCOPE_ADMIN: Scope.ADMIN,
}


@frozen
class AdminHandlers:
    """Served on a socket that only the operator can open, and on an address for keys with the scope ADMIN."""

    resolver: Resolver
    access: Access
    characters: Characters
    agents: Agents
    budgets: Budgets
    usage: UsageStore
    accounts: AccountManager
    clock: Clock
    audit: AuditStore

    async def resolve_generation(self, request: pb.ResolveGenerationRequest, _: Call) -> bytes:
        """Resolve a generation; see `Resolver`."""
        require(request, "id", "resolution")
        generation_id = GenerationId(request.id)
        match request.WhichOneof("resolution"):
            case "request_id":
                generation = await self.resolver.as_request(generation_id, request.request_id)
            case "lost":
                generation = await self.resolver.lost(generation_id)
            case _:
                twice = request.resubmit.may_charge_twice
                generation = await self.resolver.resubmit(generation_id, may_charge_twice=twice)
        content = wire.shown(generation, include_input=False)
        return wire.embedded(pb.ResolveGenerationResponse.GENERATION_FIELD_NUMBER, content)

    async def list_unresolved(self, _: pb.ListUnresolvedRequest, __: Call) -> pb.ListUnresolvedResponse:
        """List the characters and messages with an unknown outcome."""
        response = pb.ListUnresolvedResponse()
        for creation in self.characters.unresolved():
            sent = wire.timestamp(creation.sent_date)
            response.characters.add(
                tenant=creation.tenant, idempotency_key=creation.key, name=creation.name, send_time=sent
            )
        for kept, wall in await self.agents.unresolved():
            sent = wire.timestamp(wall)
            response.messages.add(
                tenant=kept.tenant, idempotency_key=kept.key, session_id=kept.session_id, send_time=sent
            )
        return response

    async def resolve_character(self, request: pb.ResolveCharacterRequest, _: Call) -> pb.ResolveCharacterResponse:
        """Resolve a character with an unknown outcome."""
        require(request, "tenant", "idempotency_key", "resolution")
        found = None if request.HasField("not_taken") else require_text(request.character_id, "character_id")
        await self.characters.resolve(request.tenant, request.idempotency_key, found)
        return pb.ResolveCharacterResponse()

    async def resolve_message(self, request: pb.ResolveMessageRequest, _: Call) -> pb.ResolveMessageResponse:
        """Resolve a message with an unknown outcome."""
        require(request, "tenant", "idempotency_key", "resolution")
        found = None if request.HasField("not_taken") else require_text(request.message_id, "message_id")
        await self.agents.resolve(request.tenant, request.idempotency_key, found)
        return pb.ResolveMessageResponse()

    async def create_api_key(self, request: pb.CreateApiKeyRequest, _: Call) -> pb.CreateApiKeyResponse:
        """Create an API key. Its secret is only in this response."""
        wrong: list[Violation] = []
        expires = parse_wall_time(request, "expire_time", wrong)
        raise_if_invalid(wrong)
        scopes = [_scope(number, place) for place, number in enumerate(request.scopes)]
        key, secret = await self.access.create_key(request.tenant, request.name, scopes, expires)
        return pb.CreateApiKeyResponse(api_key=api_key_message(key), secret=secret)

    async def rotate_api_key(self, request: pb.RotateApiKeyRequest, _: Call) -> pb.RotateApiKeyResponse:
        """Create a key like another one, which expires after the overlap."""
        key_id = require_text(request.id)
        wrong: list[Violation] = []
        overlap = parse_seconds(request, "overlap", wrong)
        raise_if_invalid(wrong)
        key, secret = await self.access.rotate_key(key_id, OVERLAP if overlap is None else overlap)
        return pb.RotateApiKeyResponse(api_key=api_key_message(key), secret=secret)

    async def list_api_keys(self, request: pb.ListApiKeysRequest, _: Call) -> pb.ListApiKeysResponse:
        """Return a page of API keys, without their secrets, oldest first."""
        page: SortedPage[ApiKey] = SortedPage(request, lambda key: (key.create_time, key.id))
        response = pb.ListApiKeysResponse()
        keys = (key for key in self.access.listed() if request.tenant in {"", key.tenant})
        response.next_page_token = page.fill(response.api_keys, keys, api_key_message)
        return response

    async def revoke_api_key(self, request: pb.RevokeApiKeyRequest, _: Call) -> pb.RevokeApiKeyResponse:
        """Revoke an API key."""
        key = await self.access.revoke_key(require_text(request.id))
        return pb.RevokeApiKeyResponse(api_key=api_key_message(key))

    async def set_limits(self, request: pb.SetLimitsRequest, _: Call) -> pb.SetLimitsResponse:
        """Set limits of a tenant, a key or a label."""
        tenant, subject, limits, fields = limits_of(request)
        key_id = subject.removeprefix("key:")
        # Limits that were stored for an unknown key can be removed.
        if key_id != subject and limits != Limits() and not self.access.has_key(tenant, key_id):
            raise_if_invalid([NO_KEY])
        now = await self.budgets.set(tenant, subject, limits, fields)
        (uncertain,) = await self.budgets.uncertain_credits([now])
        return pb.SetLimitsResponse(limits=limits_message(now, uncertain))

    async def list_limits(self, request: pb.ListLimitsRequest, _: Call) -> pb.ListLimitsResponse:
        """Return a page of limits and what is used of them."""
        page: SortedPage[SubjectLimits] = SortedPage(request, lambda one: (one.tenant, one.subject))
        limits = await self.budgets.list_limits(request.tenant, page.start_after(("", "")), page.fetch_limit)
        uncertain = dict(zip(limits, await self.budgets.uncertain_credits(limits), strict=True))
        response = pb.ListLimitsResponse()
        response.next_page_token = page.fill(response.limits, limits, lambda one: limits_message(one, uncertain[one]))
        return response

    async def query_usage(self, request: pb.QueryUsageRequest, _: Call) -> pb.QueryUsageResponse:
        """Sum up what was used."""
        query = query_of(request, self.clock.moment().wall)
        return response_of(query, await self.usage.usage(query))

    async def add_account(self, request: pb.AddAccountRequest, _: Call) -> pb.AddAccountResponse:
        """Add a Higgsfield account."""
        account = await self.accounts.add(request.name, request.credentials, request.tenant)
        return pb.AddAccountResponse(account=account_message(account))

    async def rotate_account(self, request: pb.RotateAccountRequest, _: Call) -> pb.RotateAccountResponse:
        """Give an account new credentials."""
        require(request, "name", "credentials")
        account = await self.accounts.rotate(request.name, request.credentials)
        return pb.RotateAccountResponse(account=account_message(account))

    async def list_accounts(self, request: pb.ListAccountsRequest, _: Call) -> pb.ListAccountsResponse:
        """List the accounts and the assignments, without secrets."""
        accounts, pools = await self.accounts.listed(check=request.check)
        return pb.ListAccountsResponse(
            accounts=map(account_message, accounts),
            assignments=[assignment_message(tenant, pools[tenant]) for tenant in sorted(pools)],
        )

    async def remove_account(self, request: pb.RemoveAccountRequest, _: Call) -> pb.RemoveAccountResponse:
        """Remove an account or its older credentials."""
        require(request, "name")
        await self.accounts.remove(request.name, only_old=request.only_old_credentials, force=request.force)
        return pb.RemoveAccountResponse()

    async def assign_accounts(self, request: pb.AssignAccountsRequest, _: Call) -> pb.AssignAccountsResponse:
        """Set the accounts of a tenant."""
        pool = await self.accounts.assign(
            request.tenant, [(account.name, account.weight or 1) for account in request.accounts]
        )
        return pb.AssignAccountsResponse(assignment=assignment_message(request.tenant, pool))

    async def get_audit_head(self, _: pb.GetAuditHeadRequest, __: Call) -> pb.GetAuditHeadResponse:
        """Return the number and the hash of the last entry of the audit log."""
        head = await self.audit.audit_head()
        return pb.GetAuditHeadResponse(sequence=head.sequence, hash=head.hash)

    async def export_audit(self, request: pb.ExportAuditRequest, call: Call) -> AsyncIterator[pb.ExportAuditResponse]:
        """Stream the audit log."""
        wrong: list[Violation] = []
        since = parse_wall_time(request, "start_time", wrong)
        if request.after_sequence < 0:
            wrong.append(Violation("after_sequence", "must not be negative"))
        raise_if_invalid(wrong)
        last = (await self.audit.audit_head()).sequence
        # The first row is the one before, for its hash.
        number, previous = request.after_sequence, GENESIS
        begun = since is None
        while number <= last and (rows := await self.audit.audit_entries(number, ENTRIES_PER_BATCH)):
            for entry in rows:
                begun = begun or time_of(entry) >= (since or 0.0)
                if begun and request.after_sequence < entry.sequence <= last:
                    yield pb.ExportAuditResponse(
                        sequence=entry.sequence, text=entry.text, hash=entry.hash, previous_hash=previous
                    )
                number, previous = entry.sequence + 1, entry.hash
            await asyncio.sleep(0)
            call.check()  # the key may have been revoked


def _scope(number: "pb.ApiKeyScope.ValueType", place: int) -> Scope:
    scope = SCOPES.get(number)
    if scope is None:
        raise invalid_field(f"scopes[{place}]", "is not a scope")
    return scope


def api_key_message(key: ApiKey) -> pb.ApiKey:
    """Return the message for a key, which holds no secret."""
    return pb.ApiKey(
        id=key.id,
        tenant=key.tenant,
        name=key.name,
        create_time=wire.timestamp(key.create_time),
        revoke_time=wire.timestamp(key.revoke_time),
        expire_time=wire.timestamp(key.expire_time),
        scopes=[number for number, scope in SCOPES.items() if scope in key.scopes],
    )
