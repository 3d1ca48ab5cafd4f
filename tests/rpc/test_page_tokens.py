"""Page tokens and resume tokens: what they are bound to, and what is refused."""

from __future__ import annotations

import pytest

from gateway.errors import GatewayError
from gateway.generations.stores import Filter
from gateway.generations.watching.watch import Position
from gateway.rpc.messages import page_tokens
from gateway.rpc.messages.page_tokens import binding_of, filter_hash
from hfgateway.v1 import generation_pb2
from hfgateway.v1 import generation_service_pb2 as pb

BINDING = binding_of("tenant")
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
    assert binding_of("a", "b") != binding_of("ab", "")


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
    for page, resume, binding in ((RESUME, PAGE, BINDING), (PAGE, RESUME, binding_of("another"))):
        with pytest.raises(GatewayError, match="page_token"):
            page_tokens.read_page_token(page, binding)
        with pytest.raises(GatewayError, match="resume_token"):
            page_tokens.read_resume_token(resume, binding)
    with pytest.raises(GatewayError, match="page_token"):
        page_tokens.read_page_token(page_tokens.page_token("", BINDING), BINDING)
