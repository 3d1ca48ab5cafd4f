"""The synchronous client with the channel of grpcio-testing. Responses are scripted, and time does not pass."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any, TypeVar

import grpc
import grpc_testing
import pytest

from clients.python.tests.conftest import FakeTime
from clients.python.tests.scripted_gateway import Refusal, change, generation, refusal
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.generation_input_pb2 import SoulVersion
from hfgateway_client import Client, RetryPolicy, errors, soul
from hfgateway_client._sync.timers import Timers

SERVICE = pb.DESCRIPTOR.services_by_name["GenerationService"]
Result = TypeVar("Result")


class Script:
    """Runs the client in a thread, and responds to its calls from the test."""

    def __init__(self, time: FakeTime) -> None:
        self.channel = grpc_testing.channel([SERVICE], grpc_testing.strict_fake_time(0))
        self._time = time
        timers = Timers(time.clock, time.sleep, lambda: 1.0)
        self.client = Client(channel=self.channel, api_key="hfg_test", timers=timers, retry=RetryPolicy())
        self.metadata: dict[str, str] = {}
        self.seen: Queue[int] = Queue()
        self._threads = ThreadPoolExecutor(1)

    def start(self, call: Callable[..., Result], *arguments: Any, **options: Any) -> Future[Result]:
        return self._threads.submit(call, *arguments, **options)

    def watch(self, after_revision: int = 0) -> Future[list[int]]:
        """Start a watch of "g1". The result is its revisions. Each is put into ``seen`` when it arrives."""

        def watch() -> list[int]:
            revisions = []
            for changed in self.client.watch("g1", after_revision):
                revisions.append(changed.revision)
                self.seen.put(changed.revision)
            return revisions

        return self.start(watch)

    def respond(self, rpc: str, step: Any, *, after: float = 0.0) -> Any:
        """Respond to the next call of an RPC, when this time has passed since it arrived. Returns its request."""
        metadata, request, call = self.channel.take_unary_unary(SERVICE.methods_by_name[rpc])
        self.metadata = dict(metadata)
        self._time.now += after
        if isinstance(step, Refusal):
            call.terminate(None, step.trailing_metadata(), step.code, step.failure.message)
        else:
            call.terminate(step, (), grpc.StatusCode.OK, "")
        return request

    def stream(self, rpc: str, *steps: Any) -> Any:
        _, request, call = self.channel.take_unary_stream(SERVICE.methods_by_name[rpc])
        for step in steps:
            if isinstance(step, Refusal):
                # The fake channel drops unread messages, as a reset of a real connection may do.
                for _ in range(sum(not isinstance(step, Refusal) for step in steps)):
                    self.seen.get(timeout=60)
                call.terminate(step.trailing_metadata(), step.code, step.failure.message)
                return request
            call.send_response(step)
        call.terminate((), grpc.StatusCode.OK, "")
        return request

    def close(self) -> None:
        self._threads.shutdown()


@pytest.fixture
def script(time: FakeTime) -> Iterator[Script]:
    script = Script(time)
    yield script
    script.close()


def submitted(revision: int = 1) -> pb.SubmitGenerationResponse:
    return pb.SubmitGenerationResponse(generation=generation("PENDING", revision), replayed=revision > 1)


LOST = Refusal(grpc.StatusCode.UNAVAILABLE, errors.Failure(message="connection reset"))


def test_a_submission_is_retried_unchanged_with_growing_delays(script: Script, time: FakeTime) -> None:
    result = script.start(script.client.submit, soul("a lighthouse", version="v2"), start_timeout=90)
    sent = [script.respond("SubmitGeneration", step) for step in (LOST, LOST, LOST, submitted(4))]

    submission = result.result(5)
    assert submission.replayed
    assert sent[0].input.soul.version == SoulVersion.SOUL_VERSION_V2
    assert sent[0].start_timeout.seconds == 90
    assert sent == [sent[0]] * 4
    assert sent[0].idempotency_key == submission.idempotency_key
    assert time.slept == [0.2, 0.4, 0.8]
    assert script.metadata["authorization"] == "Bearer hfg_test"


def test_a_retry_delay_beyond_the_deadline_raises_at_once(script: Script, time: FakeTime) -> None:
    away = refusal("UNAVAILABLE", "GATEWAY_UNAVAILABLE", retry_delay=3600)
    result = script.start(script.client.submit, soul("a lighthouse"), idempotency_key="order-7")
    script.respond("SubmitGeneration", away)

    error = result.exception(5)
    assert isinstance(error, errors.GatewayUnavailable)
    assert (error.retry_delay, error.idempotency_key, time.slept) == (3600, "order-7", [])


def test_an_overloaded_gateway_is_called_again_after_its_retry_delay(script: Script, time: FakeTime) -> None:
    result = script.start(script.client.get, "g1")
    script.respond("GetGeneration", refusal("RESOURCE_EXHAUSTED", "GATEWAY_OVERLOADED", retry_delay=1.5))
    script.respond("GetGeneration", pb.GetGenerationResponse(generation=generation("QUEUED", 1)))

    assert result.result(5).id == "g1"
    assert time.slept == [1.5]


def test_upstream_saturated_is_not_retried(script: Script, time: FakeTime) -> None:
    result = script.start(script.client.submit, soul("a lighthouse"), fail_when_saturated=True)
    script.respond("SubmitGeneration", refusal("RESOURCE_EXHAUSTED", "UPSTREAM_SATURATED", retry_delay=1.5))

    assert isinstance(result.exception(5), errors.UpstreamSaturated)
    assert time.slept == []


def test_a_list_reads_all_pages(script: Script) -> None:
    result = script.start(lambda: [found.id for found in script.client.list(states=["QUEUED"], labels={"a": "b"})])
    first = pb.ListGenerationsResponse(generations=[generation("QUEUED", 1, "g1")], next_page_token="more")
    script.respond("ListGenerations", first)
    request = script.respond("ListGenerations", pb.ListGenerationsResponse(generations=[generation("QUEUED", 1, "g2")]))

    assert result.result(5) == ["g1", "g2"]
    assert request.page_token == "more"
    assert request.filter.labels == {"a": "b"}


def test_a_watch_resumes_from_the_last_revision(script: Script, time: FakeTime) -> None:
    result = script.watch(after_revision=1)
    script.stream("WatchGeneration", change("QUEUED", 2), LOST)
    script.stream("WatchGeneration", LOST)
    request = script.stream("WatchGeneration", change("QUEUED", 2), change("COMPLETED", 3))

    assert result.result(5) == [2, 3]
    assert request.after_revision == 2
    assert time.slept == [0.2, 0.4]


def test_a_message_resets_the_number_of_failures(script: Script, time: FakeTime) -> None:
    result = script.watch()
    for revision in range(1, 4):
        script.stream("WatchGeneration", change("QUEUED", revision), LOST)
    script.stream("WatchGeneration", change("COMPLETED", 4))

    assert result.result(5) == [1, 2, 3, 4]
    assert time.slept == [0.2, 0.2, 0.2]


def test_a_watch_after_the_final_revision_is_empty(script: Script) -> None:
    result = script.watch(after_revision=9)
    script.stream("WatchGeneration")

    assert result.result(5) == []


def test_a_wait_whose_connection_is_lost_ends_at_the_timeout_of_the_caller(script: Script) -> None:
    result = script.start(script.client.wait, "g1", timeout=3)
    still = pb.WaitGenerationResponse(generation=generation("QUEUED", 1))
    asked = [
        script.respond("WaitGeneration", step, after=time) for step, time in ((LOST, 2.0), (LOST, 0.5), (still, 0))
    ]

    assert not result.result(5).done
    # Each attempt asks for the time that is left after the previous ones and the delays of 0.2 s and 0.4 s.
    assert [request.timeout.ToMilliseconds() for request in asked] == [3000, 800, 0]


def test_cancel_delete_and_estimate_return_their_results(script: Script) -> None:
    client = script.client
    for call, rpc, fields, expected in (
        (lambda: client.cancel("g1").id, "CancelGeneration", {"generation": generation("CANCELED", 2)}, "g1"),
        (lambda: client.delete("g1"), "DeleteGeneration", {"removed_upstream": True}, True),
        (lambda: client.estimate(soul("x")).cost.credits, "EstimateGeneration", {"cost": {"credits": "1.5"}}, "1.5"),
    ):
        result = script.start(call)
        script.respond(rpc, getattr(pb, f"{rpc}Response")(**fields))
        assert result.result(5) == expected


def test_no_asynchronous_servicer_is_passed_to_grpc_testing() -> None:
    """Its server would use the coroutine itself as the response, so that every such test would pass."""
    forbidden = "server_from_" + "dictionary"
    assert [path.name for path in Path(__file__).parent.glob("*.py") if forbidden in path.read_text()] == []
