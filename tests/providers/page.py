"""docs/providers.md, from the cells of truth.py."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence

from .probes import BY_MODEL, GROUPS, Group, Probe
from .truth import Cell, Files, Inquiry, Silent, Target

_BEDROCK = {"aws_region_name": "us-east-1"}
_VERTEX = {"vertex_project": "project", "vertex_location": "global"}

FIRST = (
    Target("openai", {"model": "openai/gpt-5"}),
    Target("azure", {"model": "azure/gpt-5", "api_base": "https://resource.openai.azure.com"}),
    Target("anthropic", {"model": "anthropic/claude-sonnet-4-6"}),
    Target("vertex_ai Claude", {"model": "vertex_ai/claude-sonnet-4-6", **_VERTEX}),
    Target("bedrock Claude", {"model": "bedrock/us.anthropic.claude-sonnet-4-6", **_BEDROCK}),
    Target("bedrock Nova", {"model": "bedrock/amazon.nova-2-lite-v1:0", **_BEDROCK}),
    Target("gemini", {"model": "gemini/gemini-3-flash"}),
    Target("vertex_ai Gemini", {"model": "vertex_ai/gemini-3-flash", **_VERTEX}),
    Target("azure_ai", {"model": "azure_ai/mistral-large", "api_base": "https://resource.services.ai.azure.com"}),
)
MORE = (
    Target("openai, chat", {"model": "openai/gpt-5", "use_chat_completions_api": True}),
    Target("openai_like", {"model": "openai_like/a-model", "api_base": "https://host.example/v1"}),
    Target("mistral", {"model": "mistral/magistral-medium-latest"}),
    Target("groq", {"model": "groq/openai/gpt-oss-120b"}),
    Target("openrouter", {"model": "openrouter/anthropic/claude-sonnet-4.6"}),
    Target("deepseek", {"model": "deepseek/deepseek-chat"}),
    Target("perplexity", {"model": "perplexity/sonar-pro"}),
    Target("cohere", {"model": "cohere/command-a-reasoning-08-2025"}),
)
PROVIDERS = {"The large providers": FIRST, "Chat Completions, and Cohere": MORE}


def _models(provider: str, *models: str, **params: str) -> tuple[Target, ...]:
    return tuple(Target(model, {"model": f"{provider}/{model}", **params}) for model in models)


MODELS = {
    "Claude (on `anthropic`; elsewhere alike)": _models(
        "anthropic", "claude-3-5-sonnet", "claude-sonnet-4-5", "claude-sonnet-4-6", "claude-opus-4-8", "claude-opus-5-5"
    ),
    "Gemini (on `gemini`; on `vertex_ai` alike)": _models(
        "gemini", "gemini-2.0-flash", "gemini-2.5-flash", "gemini-2.5-pro", "gemini-3-flash", "gemini-3.1-pro"
    ),
    "Others on `bedrock`": _models(
        "bedrock",
        "amazon.nova-pro-v1:0",
        "amazon.nova-2-lite-v1:0",
        "openai.gpt-oss-120b-1:0",
        "deepseek.v3-v1:0",
        **_BEDROCK,
    ),
}

Cells = Mapping[tuple[str, str, str], Cell | Silent]
"""By target's model and name, and the probe's."""

_HEAD = """\
# What each provider makes of a request

<!-- Made by {test} from what is really sent; with --update-goldens it writes this page again. -->

Every cell was found by asking a gateway twice, with and without the one thing, and comparing what it would have sent.
The notes are the gateway's own words: a client finds them in the response header `x-tollbook-notes`, the books in the
call's record. Nothing is dropped without one.

| cell | meaning |
| --- | --- |
| native | passes as it is |
| ✓ | translated into the provider's own words |
| ≈ | adapted: said in another way, or in part; the number leads to the note |
| – | left out, with a note that names it; a number leads to a note that says more |
| ✗ | refused with 400 `unsupported_parameter` and its name, such as `tools[0].type=mcp`; left out with `drop_params: true` |
| · | nothing needs to be sent; the last column says why |
| blank | does not arise: the tool of the row is refused |
"""


def found() -> Cells:
    """Asks every target everything that its tables tell."""
    return asyncio.run(_found())


async def _found() -> Cells:
    cells: dict[tuple[str, str, str], Cell | Silent] = {}
    questions = [(t, GROUPS) for targets in PROVIDERS.values() for t in targets]
    questions += [(t, (BY_MODEL,)) for targets in MODELS.values() for t in targets]
    with Files() as files:
        for target, groups in questions:
            inquiry = Inquiry(target, files)
            for group in groups:
                for probe in group.probes:
                    try:
                        cell: Cell | Silent = await inquiry.ask(probe)
                    except Silent as silent:
                        cell = silent
                    cells[target.model, target.name, f"{group.title}: {probe.name}"] = cell
            await inquiry.close()
    return cells


def page(cells: Cells, test: str) -> str:
    """The whole page."""
    parts = [_HEAD.format(test=test)]
    models = ", ".join(f"`{target.model}`" for targets in PROVIDERS.values() for target in targets)
    parts.append(f"The models of the columns, from left to right: {models}.\n")
    for group in GROUPS:
        parts.append(f"## {group.title}\n\n{group.about}\n")
        for title, targets in PROVIDERS.items():
            parts.append(f"### {group.title}: {title}\n\n{_table(group, targets, cells)}")
    parts.append(f"## {BY_MODEL.title}\n\n{BY_MODEL.about}\n")
    for title, targets in MODELS.items():
        parts.append(f"### {title}\n\n{_table(BY_MODEL, targets, cells)}")
    return "\n".join(parts)


def _table(group: Group, targets: Sequence[Target], cells: Cells) -> str:
    """A table with its notes below. Neighbours that differ in nothing share a row."""
    notes: dict[str, int] = {}
    rows: list[tuple[list[str], str]] = []
    for probe in group.probes:
        row = [cells[target.model, target.name, f"{group.title}: {probe.name}"] for target in targets]
        shown = " | ".join([*(_shown(cell, probe, notes) for cell in row), _remark(row)])
        if rows and rows[-1][1] == shown:
            rows[-1][0].append(probe.name)
        else:
            rows.append(([probe.name], shown))
    lines = [
        "| | " + " | ".join(target.name for target in targets) + " | |",
        "| --- |" + " :-: |" * len(targets) + " --- |",
        *(f"| {'<br>'.join(names)} | {shown} |" for names, shown in rows),
    ]
    below = "".join(f"{number}. {_code(note)}\n" for note, number in notes.items())
    return "\n".join(lines) + "\n" + (f"\n{below}" if below else "")


def _shown(cell: Cell | Silent, probe: Probe, notes: dict[str, int]) -> str:
    if isinstance(cell, Silent):
        return "?"
    match cell.kind:
        case "native":
            return "native"
        case "translated":
            return "✓"
        case "refused":
            return "✗"
        case "not sent":
            return "·"
        case "unavailable":
            return ""
    told = [note for note in cell.notes if not _plain(note, probe)]
    numbers = ",".join(str(notes.setdefault(note, len(notes) + 1)) for note in told)
    return ("≈" if cell.kind == "adapted" else "–") + (f"<sup>{numbers}</sup>" if numbers else "")


def _plain(note: str, probe: Probe) -> bool:
    """Whether a note says no more than that the thing of its row was left out."""
    name, _, what = note.partition(": ")
    said = re.split(r"[.=]", name)[-1]
    return what in ("dropped", "left out", "of another provider, left out") and said in re.split(r"\W+", probe.name)


def _remark(row: Sequence[Cell | Silent]) -> str:
    """Why nothing is sent."""
    told = [cell for cell in row if isinstance(cell, Cell) and cell.kind == "not sent"]
    return "; ".join(dict.fromkeys(note for cell in told for note in cell.notes))


def _code(note: str) -> str:
    """A note with its parameter in code."""
    name, colon, rest = note.partition(": ")
    return f"`{name}`: {rest}" if colon and " " not in name else note
