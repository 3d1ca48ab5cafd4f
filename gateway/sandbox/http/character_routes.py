"""The routes of characters in the v1 API: `/v1/custom-references`."""

from __future__ import annotations

from aiohttp import web

from gateway.sandbox import errors
from gateway.sandbox.accounts.account import Account
from gateway.sandbox.http.call import Call, call_and_account, json_body
from gateway.sandbox.schema import Violation, whole_number

MAX_PAGE_SIZE = 100
_PATH = "/v1/custom-references"


class CharacterRoutes:
    """Create, list, read and delete characters. Faults match calls by the names of the routes."""

    def routes(self) -> list[web.AbstractRouteDef]:
        return [
            web.post(_PATH, self.create, name="train"),
            web.get(f"{_PATH}/list", self.list, name="characters", allow_head=False),
            web.get(_PATH + "/{character_id}", self.read, name="character", allow_head=False),
            web.delete(_PATH + "/{character_id}", self.delete, name="delete_character"),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """Start a training."""
        call, account = _called(request)
        character = account.train(await json_body(request))
        call.request_id, call.created = character.id, True
        return web.json_response(account.characters.describe(character))

    async def list(self, request: web.Request) -> web.Response:
        """Return one page of the list."""
        _, account = _called(request)
        page, size = _number(request, "page", 1, 1_000_000), _number(request, "page_size", 20, MAX_PAGE_SIZE)
        return web.json_response(account.characters.page(page, size))

    async def read(self, request: web.Request) -> web.Response:
        """Return one character."""
        call, account = _called(request)
        return web.json_response(account.characters.describe(account.characters.find(call.request_id)))

    async def delete(self, request: web.Request) -> web.Response:
        """Delete a character. The body of the response is not documented."""
        call, account = _called(request)
        account.characters.delete(call.request_id)
        return web.json_response({})


def _called(request: web.Request) -> tuple[Call, Account]:
    call, account = call_and_account(request)
    account.settle()
    return call, account


def _number(request: web.Request, name: str, usual: int, maximum: int) -> int:
    text = request.query.get(name, str(usual))
    number = whole_number(text) or 0
    if not 1 <= number <= maximum:
        rule = "minimum" if number < 1 else "maximum"
        raise errors.as_pydantic([Violation(rule, (name,), text, 1 if number < 1 else maximum)])
    return number
