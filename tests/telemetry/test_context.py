"""A caller's headers: what is right is followed, what is broken is as if absent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tollbook.telemetry.context import MOST_ENTRIES, Caller, propagators, read, told

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
W3C = frozenset({"tracecontext", "baggage"})


def asked(**headers: str) -> Caller:
    return read([(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()], W3C)


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("03", True), ("02", False)])
def test_a_parent_is_read_with_its_flag(flags: str, sampled: bool) -> None:
    assert asked(traceparent=f"00-{TRACE}-{PARENT}-{flags}") == Caller(TRACE, PARENT, sampled)


def test_a_later_version_may_say_more() -> None:
    assert asked(traceparent=f"cc-{TRACE}-{PARENT}-01-what-the-future-brings").trace_id == TRACE


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "rubbish",
        f"00-{TRACE}-{PARENT}-01-more",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE[:-1]}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-0",
        "0" * 60_000,
    ],
)
def test_a_broken_parent_is_none(broken: str) -> None:
    assert asked(traceparent=broken).trace_id == ""


def test_two_parents_are_none() -> None:
    right = f"00-{TRACE}-{PARENT}-01".encode()

    assert read([(b"traceparent", right), (b"traceparent", right)], W3C).trace_id == ""


@given(st.text(st.characters(codec="latin-1"), max_size=80))
def test_whatever_is_sent_the_sdk_reads_no_more_out_of_it_than_we_do(header: str) -> None:
    found = TraceContextTextMapPropagator().extract({"traceparent": header}, context=Context())
    theirs = trace.get_current_span(found).get_span_context()

    ours = asked(traceparent=header)

    assert bool(ours.trace_id) <= theirs.is_valid


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        ("vendor=1", "vendor=1"),
        ("a=1, b=2", "a=1,b=2"),
        ("a=1,a=2", ""),
        ("A=1", ""),
        ("=", ""),
        ("a=b," * 16_000, ""),
        (",".join(f"k{n}=v" for n in range(33)), ""),
    ],
)
def test_a_tracestate_is_passed_on_only_if_it_is_right(state: str, kept: str) -> None:
    assert asked(traceparent=f"00-{TRACE}-{PARENT}-01", tracestate=state).state == kept


def test_baggage_is_repeated_by_a_short_list_of_names() -> None:
    found = told("session.id=s%201,user.id=u;p=1, tollbook.tag.team=search ,secret=x,tollbook.tag.=empty")

    assert found == {"session.id": "s 1", "user.id": "u", "tollbook.tag.team": "search"}


def test_baggage_is_bounded_and_printable() -> None:
    many = ",".join(f"tollbook.tag.n{n}={'x' * 300}" for n in range(50))

    assert len(told(many)) == MOST_ENTRIES
    assert {len(str(value)) for value in told(many).values()} == {128}
    assert told("session.id=a%0Ab")["session.id"] == "a\N{REPLACEMENT CHARACTER}b"
    assert asked(baggage="k=v," * 16_000).baggage == ""


@given(st.text(max_size=200))
def test_any_baggage_can_be_read(text: str) -> None:
    told(text)


def test_the_environment_chooses_the_formats() -> None:
    parent = [(b"traceparent", f"00-{TRACE}-{PARENT}-01".encode())]

    assert propagators({}) == W3C
    assert read(parent, propagators({"OTEL_PROPAGATORS": "none"})).trace_id == ""
    assert read(parent, propagators({"OTEL_PROPAGATORS": "baggage"})).trace_id == ""
    assert read(parent, propagators({"OTEL_PROPAGATORS": "tracecontext"})).trace_id == TRACE
