"""What an ill collector costs: nobody waits, memory is bounded, others' items arrive, and what is lost is counted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.server.receiver import Collector
from tollbook.telemetry.collector import Answer, HttpCollector
from tollbook.telemetry.environment import Batching, Signal, Target
from tollbook.telemetry.otlp import spans
from tollbook.telemetry.otlp.wire import Envelope
from tollbook.telemetry.outbox import LARGEST, Outbox, Reason

from .making import span

ENVELOPE = Envelope({"service.name": "tollbook"}, "tollbook", "1")
SOON = Batching(delay=0.02, most=512)


class Heard:
    """What an outbox tells."""

    def __init__(self) -> None:
        self.losses: Counter[Reason] = Counter()
        self.deliveries = 0

    def delivered(self, signal: Signal, last: int) -> None:
        self.deliveries += 1

    def lost(self, signal: Signal, reason: Reason, count: int, first: int, last: int) -> None:
        self.losses[reason] += count
        assert 0 < first <= last


def target(collector: Collector) -> Target:
    url = collector.environment["OTEL_EXPORTER_OTLP_ENDPOINT"]
    return Target(signal="traces", protocol="http/protobuf", endpoint=f"{url}/v1/traces", timeout=2)


def outbox(collector: Collector, heard: Heard, *, room: int = 2**24, batching: Batching = SOON) -> Outbox:
    return Outbox(
        "traces", HttpCollector(target(collector)), ENVELOPE, heard, batching=batching, room=room, chance=lambda: 0
    )


def put(box: Outbox, *names: str) -> None:
    for name in names:
        made = span(name)
        box.put(spans.encode(made), made.end)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        yield server


def test_what_is_put_arrives_soon_and_in_few_requests(collector: Collector, heard: Heard) -> None:
    box = outbox(collector, heard)
    put(box, *(f"span {n}" for n in range(100)))

    assert box.flush(5)
    box.close(5)

    assert [each.name for each in collector.spans] == [f"span {n}" for n in range(100)]
    assert collector.requests < 10
    assert not heard.losses
    assert box.held == 0


@pytest.mark.parametrize("bad", [{7}, {0}, {63}, {3, 40}])
def test_a_collector_that_refuses_one_span_gets_all_the_others(
    collector: Collector, heard: Heard, bad: set[int]
) -> None:
    wrong = [f"span {n}.".encode() for n in bad]
    collector.status = lambda body: 400 if any(each in body for each in wrong) else 200
    box = outbox(collector, heard)
    put(box, *(f"span {n}." for n in range(64)))

    assert box.flush(10)
    box.close(5)

    assert {each.name for each in collector.spans} == {f"span {n}." for n in range(64) if n not in bad}
    assert heard.losses == {"refused": len(bad)}


def test_a_collector_that_refuses_everything_is_not_asked_for_every_span(collector: Collector, heard: Heard) -> None:
    asked = 0

    def refuse(body: bytes) -> int:
        nonlocal asked
        asked += 1
        return 400

    collector.status = refuse
    box = outbox(collector, heard)
    put(box, *(f"span {n}" for n in range(512)))

    assert box.flush(20)
    box.close(5)

    assert heard.losses == {"refused": 512}
    assert asked < 200


@pytest.mark.parametrize("status", [401, 403, 404, 405, 501])
def test_where_nothing_is_taken_at_all_the_batch_is_given_up_at_once(
    collector: Collector, heard: Heard, status: int
) -> None:
    collector.status = lambda body: status
    box = outbox(collector, heard)
    put(box, "a", "b")

    assert box.flush(5)
    box.close(5)

    assert heard.losses == {"closed": 2}


@pytest.mark.parametrize("status", [429, 503])
def test_what_is_not_taken_now_is_kept_and_arrives_when_the_collector_is_well(
    collector: Collector, heard: Heard, status: int
) -> None:
    answers = iter([status, status, 200])
    collector.status = lambda body: next(answers, 200)
    box = outbox(collector, heard)
    put(box, "patient")

    assert box.flush(15)
    box.close(5)

    assert [each.name for each in collector.spans] == ["patient"]
    assert not heard.losses


def test_a_collector_that_is_not_there_fills_its_room_and_no_more(heard: Heard) -> None:
    with Collector() as gone:
        absent = target(gone)
    box = Outbox("traces", HttpCollector(absent), ENVELOPE, heard, batching=Batching(delay=0.01, most=10), room=5000)
    began = time.monotonic()
    for n in range(500):
        put(box, f"span {n}")

    assert time.monotonic() - began < 2, "putting never waits for the network"
    assert box.held <= 5000 + LARGEST
    box.close(1)
    assert heard.losses["queue_full"] > 300
    assert sum(heard.losses.values()) == 500
    assert box.held == 0


def test_a_queue_that_the_environment_bounds_in_spans_is_bounded_in_spans(heard: Heard) -> None:
    with Collector(mood="refuses") as ill:
        box = outbox(ill, heard, batching=Batching(delay=0.01, most=10, queue=30))
        for n in range(200):
            put(box, f"span {n}")
        box.close(0.5)

    assert heard.losses["queue_full"] >= 150
    assert sum(heard.losses.values()) == 200


def test_a_collector_that_hangs_does_not_hold_up_the_end(heard: Heard) -> None:
    with Collector(mood="hangs") as ill:
        box = outbox(ill, heard)
        put(box, "a", "b")
        box.flush(0.2)
        began = time.monotonic()
        box.close(0.5)

    assert time.monotonic() - began < 1.5
    assert heard.losses == {"shutdown": 2}
    put(box, "too late")
    assert heard.losses == {"shutdown": 3}


def test_a_request_stays_below_what_collectors_take(collector: Collector, heard: Heard) -> None:
    sizes: list[int] = []

    def measure(body: bytes) -> int:
        sizes.append(len(body))
        return 200

    collector.status = measure
    box = outbox(collector, heard)
    for n in range(60):
        made = span(f"large {n}", state="", events=())._replace(attributes={"text": "x" * 200_000})
        box.put(spans.encode(made), made.end)

    assert box.flush(20)
    box.close(5)

    assert len(collector.spans) == 60
    assert max(sizes) <= LARGEST + 1000


def test_partial_success_is_counted_as_what_it_is(heard: Heard) -> None:
    class Partial:
        def send(self, request: bytes) -> Answer:
            return Answer("taken", "200", rejected=2)

        def close(self) -> None:
            """Nothing to let go."""

    box = Outbox("traces", Partial(), ENVELOPE, heard, batching=SOON, room=2**20)
    put(box, "a", "b", "c")

    assert box.flush(5)
    box.close(1)

    assert heard.losses == {"rejected": 2}
