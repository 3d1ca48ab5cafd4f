"""Higgsfield's custom references, from its documentation. Implements `CharacterUpstream` over the REST client."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import httpx
from pydantic import BaseModel, ValidationError

from gateway.characters.model import Character, CharacterState, Order, plain_id
from gateway.characters.ports import Listing, OrderTaken
from gateway.errors import Failure, GatewayError, Reason, Violation, upstream_unavailable
from gateway.generations.inputs import SoulVersion
from gateway.generations.model import InputKind
from gateway.generations.ports import MaybeTaken, NotTaken
from gateway.higgsfield.client import HiggsfieldClient, read_date, unsent_before_check
from gateway.higgsfield.errors import (
    Response,
    is_not_found,
    judge_call,
    judge_submission,
    judge_submission_error,
    unresolved_failure,
)
from gateway.higgsfield.json_values import collect_extra, parse
from gateway.higgsfield.payloads import is_link, read_moment, written
from gateway.higgsfield.redact import redacted

BASE = "/v1/custom-references"
VERSIONS = {"v1": SoulVersion.V1, "v2": SoulVersion.V2, "cinema": SoulVersion.CINEMA}
_WORDS = {version: word for word, version in VERSIONS.items()}
_STATES = {state.name.lower(): state for state in CharacterState if state is not CharacterState.UNSPECIFIED}
_REQUEST_NAMES = {"input_images": "image_urls", "model_version": "version"}
PAGE_SIZE = 20
"""Items on a page. No other size is documented."""
MAX_PAGES = 500
MAX_READINGS = 3
"""How many times the list is read if it changes while it is read."""


class Reference(BaseModel):
    """A custom reference. All fields except the id may be missing or malformed."""

    id: str
    name: Any = None
    model_version: Any = None
    status: Any = None
    thumbnail_url: Any = None
    created_at: Any = None
    fail_reason: Any = None


class Page(BaseModel):
    """A page of the list."""

    total: int | None = None
    total_pages: int | None = None
    items: list[Any]


class HiggsfieldCharacters:
    """The characters of one account."""

    def __init__(self, client: HiggsfieldClient) -> None:
        self._client = client
        self._secrets = client.secrets

    async def train(self, order: Order, may_send: Callable[[], bool]) -> OrderTaken | NotTaken | MaybeTaken:
        """POST a creation once, and return its outcome."""
        images = [{"type": "image_url", "image_url": url} for url in order.image_urls]
        wanted = {"name": order.name, "input_images": images, "model_version": _WORDS[order.version]}
        try:
            with unsent_before_check(may_send):
                response = await self._client.call("POST", BASE, json.dumps(wanted).encode(), name="train call")
        except httpx.TransportError as error:
            return judge_submission_error(error)
        if response.succeeded:
            character = self._read(_parse_response(response), order)
            if character is None:
                return MaybeTaken(unresolved_failure(response, self._secrets), is_complete=False)
            return OrderTaken(character)
        judged = judge_submission(response, InputKind.CHARACTER, self._secrets)
        return replace(judged, failure=_with_request_paths(judged.failure)) if isinstance(judged, NotTaken) else judged

    async def find(self, character_id: str) -> Character | None:
        """Return a character, or None if Higgsfield does not know it. Raises GatewayError."""
        response = await self._client.call_uncharged("GET", f"{BASE}/{character_id}", name="character call")
        if is_not_found(response):
            return None
        if response.status != 200:
            raise self._refused(response)
        character = self._read(_parse_response(response))
        if character is None or character.id != character_id:
            raise upstream_unavailable("Higgsfield's response about a character could not be read")
        return character

    async def listing(self) -> Listing:
        """Return all characters. Read the list again if their number changed. Raises GatewayError."""
        for _ in range(MAX_READINGS):
            listing = await self._listing()
            if listing is not None:
                return listing
        raise upstream_unavailable("Higgsfield's list of characters changes while it is read")

    async def remove(self, character_id: str) -> bool:
        """Delete a character. Raises GatewayError."""
        response = await self._client.call_uncharged("DELETE", f"{BASE}/{character_id}", name="character removal call")
        if is_not_found(response):
            return False
        if not response.succeeded:
            raise self._refused(response)
        return True

    async def _listing(self) -> Listing | None:
        found: dict[str, Character] = {}
        date: float | None = None
        count = 0
        for number in range(1, MAX_PAGES + 1):
            query = urlencode({"page": number, "page_size": PAGE_SIZE})
            response = await self._client.call_uncharged("GET", f"{BASE}/list", query=query, name="characters call")
            if response.status != 200:
                raise self._refused(response)
            date = read_date(response.date) if date is None else date
            try:
                page = Page.model_validate(_parse_response(response))
            except ValidationError as error:
                raise upstream_unavailable("Higgsfield's list of characters could not be read") from error
            for item in page.items:
                character = self._read(item)
                count += character is None or character.id not in found  # `total` counts unreadable ones, too
                if character is not None:
                    found[character.id] = character
            last = number >= page.total_pages if page.total_pages is not None else len(page.items) < PAGE_SIZE
            if last or not page.items:
                return Listing(tuple(found.values()), date) if page.total in {count, None} else None
        raise upstream_unavailable("the account has more characters than can be listed")

    def _read(self, item: object, order: Order | None = None) -> Character | None:
        """Return a character; None if it has no usable id. One that was just ordered has the name and version of it."""
        try:
            read = Reference.model_validate(item)
        except ValidationError:
            return None
        character_id = plain_id(read.id)
        if not character_id or not isinstance(item, dict):
            return None
        state = _STATES.get(_text(read.status), CharacterState.UNSPECIFIED)
        thumbnail = _text(read.thumbnail_url)
        shown = is_link(thumbnail)
        # The name is unchanged, because names are compared.
        name = _text(read.name)[:1000].encode("utf-8", "replace").decode() or (order.name if order else "")
        version = order.version if order else VERSIONS.get(_text(read.model_version))
        failure = self._failure(read.fail_reason) if state is CharacterState.FAILED else None
        create_time = read_moment(read.created_at)
        exact = {
            "id": character_id == read.id,
            "name": name == read.name,
            "model_version": version is not None and _WORDS[version] == read.model_version,
            "status": state.name.lower() == read.status,
            "thumbnail_url": read.thumbnail_url == (thumbnail if shown else None),
            "fail_reason": read.fail_reason == (failure.message if failure else None),
            "created_at": create_time is not None and written(create_time) == read.created_at,
        }
        return Character(
            id=character_id,
            name=name,
            state=state,
            version=version,
            thumbnail_url=thumbnail if shown else "",
            failure=failure,
            create_time=create_time,
            extra=collect_extra(item, [(field,) for field, same in exact.items() if same], self._secrets),
        )

    def _failure(self, reason: object) -> Failure:
        said = redacted(reason, self._secrets) if isinstance(reason, str) else ""
        return Failure(Reason.GENERATION_FAILED, said or "Higgsfield ended the training as failed", retryable=True)

    def _refused(self, response: Response) -> GatewayError:
        return judge_call(response, InputKind.CHARACTER, self._secrets)


def _parse_response(response: Response) -> object:
    try:
        return parse(response.body)
    except ValueError:
        return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _with_request_paths(failure: Failure) -> Failure:
    """Return the failure with the field paths of CreateCharacterRequest."""
    return replace(
        failure,
        violations=tuple(
            Violation(_request_path(violation.field), violation.description) for violation in failure.violations
        ),
    )


def _request_path(path: str) -> str:
    """Map a path, for example `input.character.input_images[2].image_url` to `image_urls[2]`."""
    path = path.removeprefix("input.character").removeprefix(".").removesuffix(".image_url")
    name, bracket, rest = path.partition("[")
    return _REQUEST_NAMES.get(name, name) + bracket + rest
