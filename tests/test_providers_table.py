"""docs/providers.md is what the providers really do with a request, and nothing is dropped in silence."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

import openai.types.responses as sdk
import pytest
from openai.types.responses import response_create_params, response_includable

from .providers.page import Cells, found, page
from .providers.probes import BY_MODEL, EXTRA, GROUPS, ITEMS, PARAMETERS, PARTS, TOOLS, Probe
from .providers.truth import Cell, Silent

PAGE = Path(__file__).parents[1] / "docs" / "providers.md"


@cache
def cells() -> Cells:
    return found()


def test_nothing_is_dropped_in_silence() -> None:
    """A thing that changes nothing in what is sent is noted, refused, or has its reason beside the probe."""
    assert [str(cell) for cell in cells().values() if isinstance(cell, Silent)] == []


def test_the_page_tells_what_is_really_sent(update_goldens: bool) -> None:
    told = page(cells(), "tests/test_providers_table.py")
    if update_goldens:
        PAGE.write_text(told)

    assert told == PAGE.read_text()


def test_every_reason_for_sending_nothing_is_needed_by_somebody() -> None:
    reasons = {probe.unsent for group in (*GROUPS, BY_MODEL) for probe in group.probes if probe.unsent}
    used = {
        note for cell in cells().values() if isinstance(cell, Cell) and cell.kind == "not sent" for note in cell.notes
    }

    assert used == reasons


def test_a_probe_of_a_native_provider_arrives_as_it_was_asked() -> None:
    kinds = {cell.kind for (_, name, _), cell in cells().items() if name == "openai" and isinstance(cell, Cell)}

    assert kinds <= {"native", "left out"}


# --------------------------------------------------------------------------------- the probes ask for all there is


def _asked(*groups: Any) -> Iterator[tuple[Probe, dict[str, Any]]]:
    return ((probe, {**probe.base, **probe.asked}) for group in groups for probe in group.probes)


def test_every_parameter_of_the_sdk_is_asked_for() -> None:
    parameters = get_type_hints(response_create_params.ResponseCreateParamsBase).keys() - {"input", "model", "tools"}
    asked = {name for _, request in _asked(*GROUPS) for name in request}

    assert parameters - asked == set()


def test_every_value_of_include_is_asked_for() -> None:
    values = set(get_args(response_includable.ResponseIncludable))
    asked = {value for _, request in _asked(PARAMETERS) for value in request.get("include", ())}

    assert values - asked == set()


def test_every_input_item_of_the_sdk_is_asked_for() -> None:
    asked = {item.get("type") for _, request in _asked(ITEMS) for item in request["input"] if isinstance(item, dict)}
    # Stands for `item_reference` until there is something to refer to.
    asked |= {"item_reference"}

    assert _types(sdk.ResponseInputItemParam) - asked == set()


def test_every_content_part_of_the_sdk_is_asked_for() -> None:
    asked = {
        part["type"]
        for _, request in _asked(PARTS)
        for item in request["input"]
        if isinstance(item.get("content"), list)
        for part in item["content"]
    }

    assert _types(sdk.ResponseInputContentParam) - asked == set()


def test_every_tool_of_the_sdk_is_asked_for() -> None:
    asked = {tool["type"] for _, request in _asked(TOOLS) for tool in request["tools"]}

    assert _types(sdk.ToolParam) - asked == set()


def _types(union: Any) -> set[str]:
    """The values that `type` may have among the members of a union of typed dictionaries."""
    if args := get_args(union):
        return set().union(*(_types(arg) for arg in args if not isinstance(arg, str)))
    hints = get_type_hints(union) if isinstance(union, type) else {}
    return {value for value in _literals(hints.get("type")) if isinstance(value, str)}


def _literals(hint: Any) -> Iterator[Any]:
    for arg in get_args(hint):
        if isinstance(arg, str):
            yield arg
        else:
            yield from _literals(arg)


@pytest.mark.parametrize("probe", [p for g in (*GROUPS, BY_MODEL) for p in g.probes], ids=lambda probe: probe.name)
def test_a_probe_asks_for_something(probe: Probe) -> None:
    assert {**probe.base, **probe.asked} != probe.base


def test_extra_parameters_are_beyond_the_sdk() -> None:
    """Else they belong to the first table."""
    known = get_type_hints(response_create_params.ResponseCreateParamsBase).keys()

    assert not known & {name for probe in EXTRA.probes for name in probe.asked}
