"""Page tokens and resume tokens: what they are bound to, and what is refused."""

from __future__ import annotations

import pytest

from gateway.errors import GatewayError
from gateway.generations.stores import Filter
from gateway.generations.watching.watch import Position
from gateway.rpc.messages import page_tokens
from gateway.rpc.messages.page_tokens import filter_hash
from gateway.rpc.messages.pages import binding_of
from hfgateway.v1 import generation_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.callback_service_pb2 import ListCallbacksRequest

BINDING, OTHER_BINDING = b"binding1", b"binding2"
AT = Position("01234567", 5, "0a1b")
LAST = "an id that is as long as the fields of a resume token"
PAGE, RESUME = page_tokens.page_token(LAST, BINDING), page_tokens.resume_token(AT, BINDING)


def test_a_filter_is_that_of_its_tenant_its_limits_and_its_fields() -> None:
    message = pb.GenerationFilter(ids=["a", "b"])
    hashes = [
        filter_hash(message, "tenant"),
        filter_hash(message, "another"),
        filter_hash(message, "tenant", Filter(ids=frozenset({"a"}))),
        filter_hash(message, "tenant", Filter(ids=frozenset({"b"}))),
        filter_hash(message, "tenant", Filter(ids=frozenset({"a"}), labels={"team": "a"})),
        filter_hash(pb.GenerationFilter(ids=["a"]), "tenant"),
    ]
    assert len(set(hashes)) == len(hashes)


def test_a_list_is_that_of_its_tenant_and_of_all_fields_but_those_of_the_page() -> None:
    plain, other = pb.ListGenerationsRequest(), pb.ListGenerationsRequest(include_input=True)
    of_page = pb.ListGenerationsRequest(page_size=1, page_token="1")
    bindings = [
        binding_of(plain, ""),
        binding_of(plain, "tenant"),
        binding_of(other, ""),
        binding_of(ListCallbacksRequest(), ""),
    ]
    assert len(set(bindings)) == len(bindings)
    assert binding_of(of_page, "") == binding_of(plain, "")


def test_the_order_of_repeated_fields_and_of_labels_does_not_matter() -> None:
    numbers = [str(number) for number in range(9)]
    labels = dict.fromkeys(numbers, "value")
    states = generation_pb2.GenerationState.values()
    one = pb.GenerationFilter(
        ids=numbers, model_ids=numbers, upstream_request_ids=numbers, states=states, labels=labels
    )
    turned = pb.GenerationFilter(
        ids=[*reversed(numbers), "0"],
        model_ids=reversed(numbers),
        upstream_request_ids=reversed(numbers),
        states=reversed(states),
        labels=dict(reversed(labels.items())),
    )
    within = Filter(ids=frozenset(numbers), labels=labels)
    again = Filter(ids=frozenset(reversed(numbers)), labels=dict(reversed(labels.items())))
    assert filter_hash(one, "tenant", within) == filter_hash(turned, "tenant", again)


@pytest.mark.parametrize("at", [AT, Position("01234567", 5, ""), Position("01234567", 5, None)])
def test_a_resume_token_is_read_as_it_was_written(at: Position) -> None:
    assert page_tokens.read_resume_token(page_tokens.resume_token(at, BINDING), BINDING) == at


def test_a_token_of_another_kind_or_filter_is_refused() -> None:
    assert page_tokens.read_page_token(PAGE, BINDING) == LAST
    for page, resume, binding in ((RESUME, PAGE, BINDING), (PAGE, RESUME, OTHER_BINDING)):
        with pytest.raises(GatewayError, match="page_token"):
            page_tokens.read_page_token(page, binding)
        with pytest.raises(GatewayError, match="resume_token"):
            page_tokens.read_resume_token(resume, binding)
    with pytest.raises(GatewayError, match="page_token"):
        page_tokens.read_page_token(page_tokens.page_token("", BINDING), BINDING)


@pytest.mark.parametrize("last", ["\0", "id\0", "ä"])
def test_a_page_token_with_a_text_that_no_item_has_is_refused(last: str) -> None:
    """PostgreSQL cannot look up a null character."""
    with pytest.raises(GatewayError, match="page_token"):
        page_tokens.read_page_token(page_tokens.page_token(last, BINDING), BINDING)
