"""What a caller's trace headers mean: W3C `traceparent`, `tracestate` and `baggage`. Whatever is broken is as if absent.

https://www.w3.org/TR/trace-context/ and https://www.w3.org/TR/baggage/. Other formats (b3, jaeger, xray) are read by
OpenTelemetry's own propagators where OTEL_PROPAGATORS names them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from . import names
from .genai import Attributes

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_MEMBER = re.compile(r"[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]")

LONGEST_STATE = 512
LONGEST_BAGGAGE = 8192
"""Characters that are looked at: the specifications' own limits."""
MOST_ENTRIES, LONGEST_ENTRY = 10, 128
_TAG = re.compile(r"tollbook\.tag\.[A-Za-z0-9._\-]{1,64}")
_OWN = frozenset({"tracecontext", "baggage", "none"})


class Caller(NamedTuple):
    """The span that a request comes from; `trace_id` "" where the headers name none."""

    trace_id: str = ""
    span_id: str = ""
    sampled: bool = False
    state: str = ""
    baggage: str = ""
    """As it came, for those who may have it."""


NOBODY = Caller()


def read(headers: Iterable[tuple[bytes, bytes]], propagators: frozenset[str]) -> Caller:
    """The caller's span and baggage, by the formats that `propagators` names."""
    parent, state, baggage = "", "", ""
    for name, value in headers:
        if name == b"traceparent":
            # Twice is broken (W3C Trace Context §3.2).
            parent = "twice" if parent else value[:200].decode("latin-1").strip()
        elif name == b"tracestate":
            state += ("," if state else "") + value[: LONGEST_STATE + 1].decode("latin-1")
        elif name == b"baggage":
            baggage += ("," if baggage else "") + value[: LONGEST_BAGGAGE + 1].decode("latin-1")
    if "baggage" not in propagators or len(baggage) > LONGEST_BAGGAGE or not baggage.isascii():
        baggage = ""
    if "tracecontext" in propagators and parent and (found := _PARENT.fullmatch(parent)) is not None:
        version, trace_id, span_id, flags, rest = found.groups()
        # A later version may say more behind the flags; this one says nothing.
        right = version != "ff" and (version != "00" or rest is None)
        if right and trace_id.strip("0") and span_id.strip("0"):
            return Caller(trace_id, span_id, bool(int(flags, 16) & 1), _state(state), baggage)
    if propagators <= _OWN:
        return Caller(baggage=baggage) if baggage else NOBODY
    return _foreign(headers, propagators)._replace(baggage=baggage)


def _state(text: str) -> str:
    """A `tracestate` within its rules, else nothing: a broken one must not be passed on."""
    if not text or len(text) > LONGEST_STATE:
        return ""
    members = [member.strip() for member in text.split(",") if member.strip()]
    keys = {member.partition("=")[0] for member in members}
    if len(members) > 32 or len(keys) < len(members) or not all(map(_MEMBER.fullmatch, members)):
        return ""
    return ",".join(members)


def _foreign(headers: Iterable[tuple[bytes, bytes]], propagators: frozenset[str]) -> Caller:
    """By the propagators of OpenTelemetry that are installed here."""
    from opentelemetry import propagate, trace
    from opentelemetry.context import Context

    carrier = {name.decode("latin-1"): value[:200].decode("latin-1") for name, value in headers}
    if "tracecontext" not in propagators:
        carrier.pop("traceparent", None)
    found = trace.get_current_span(propagate.extract(carrier, context=Context())).get_span_context()
    if not found.is_valid:
        return NOBODY
    return Caller(f"{found.trace_id:032x}", f"{found.span_id:016x}", bool(found.trace_flags & 1))


def told(baggage: str) -> Attributes:
    """What baggage says that we repeat on the inference span: `session.id`, `user.id` and `tollbook.tag.*`; at most ten
    entries of 128 characters."""
    found: Attributes = {}
    for member in baggage.split(","):
        pair, _, _ = member.partition(";")  # what follows are properties, not the value
        name, equals, value = pair.partition("=")
        name = name.strip()
        if not equals or not (name in (names.CALLERS_SESSION, names.CALLERS_USER) or _TAG.fullmatch(name)):
            continue
        text = unquote(value.strip(), errors="replace")[:LONGEST_ENTRY]
        found[name] = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
        if len(found) == MOST_ENTRIES:
            break
    return found


def propagators(environment: Mapping[str, str]) -> frozenset[str]:
    """The formats that OTEL_PROPAGATORS names; W3C's own where it names none."""
    named = {name.strip().lower() for name in environment.get("OTEL_PROPAGATORS", "").split(",") if name.strip()}
    if "none" in named:
        return frozenset({"none"})
    return frozenset(named) or frozenset({"tracecontext", "baggage"})
