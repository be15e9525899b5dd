"""A Responses request -> the body of generateContent. Whether to stream is said by the address, not by the body."""

from __future__ import annotations

from typing import Any

from tollbook.dialects import Written, unsaid
from tollbook.errors import InvalidRequest, Unsupported
from tollbook.responses.types import Item, Request

from . import generations
from .history import History
from .toolbox import Toolbox

_OURS = frozenset(
    # What the gateway does itself, or asks by the address ...
    {"model", "input", "stream", "stream_options", "store", "background", "background_options", "metadata"}
    | {"previous_response_id", "conversation", "include", "client_metadata"}
    # ... and what the functions below read.
    | {"instructions", "tools", "tool_choice", "parallel_tool_calls", "text", "reasoning", "top_logprobs", "stop"}
    | {"service_tier", "modalities", "generationConfig", "generation_config", "prompt", "truncation"}
)
_SETTINGS = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "seed": "seed",
    "max_output_tokens": "maxOutputTokens",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
# Fields of Gemini's own that a client may send beside the Responses parameters.
_NATIVE = {
    "safety_settings": "safetySettings",
    "cached_content": "cachedContent",
    "labels": "labels",
    "model_armor_config": "modelArmorConfig",
}
_NATIVE |= {name: name for name in _NATIVE.values()}
_TIERS = {"default": "standard", "flex": "flex", "priority": "priority"}


def write(request: Request, model: str, *, drop: bool = False) -> Written:
    """See `tollbook.dialects.Dialect.write`."""
    items, rules = _items(request)
    history = History(items, model)
    toolbox = Toolbox(request, model)
    notes = [*history.notes, *toolbox.notes, *unsaid.members(request)]
    unsupported = [*history.unsupported, *toolbox.unsupported]
    if request.get("prompt") is not None:
        unsupported.append("prompt")

    # Gemini wants contents; an instruction alone is asked with an empty one.
    body: dict[str, Any] = {"contents": history.contents or [{"role": "user", "parts": [{"text": ""}]}]}
    system = rules + history.system
    if system:
        body["systemInstruction"] = {"parts": system}
    if toolbox.tools:
        body["tools"] = toolbox.tools
    config = toolbox.config
    if generations.version(model) >= (3, 0) and (toolbox.has_hosted or history.server_side):
        # Required to combine Gemini's tools with functions, and it shows their calls in order
        # (https://ai.google.dev/gemini-api/docs/tool-combination).
        config["includeServerSideToolInvocations"] = True
    if config:
        body["toolConfig"] = config
    settings = _settings(request, model, toolbox, notes, unsupported)
    if settings:
        body["generationConfig"] = settings
    for name, theirs in _NATIVE.items():
        if request.get(name) is not None:
            body[theirs] = request[name]
    _tier(request, body, notes)

    known = _OURS | _SETTINGS.keys() | _NATIVE.keys()
    notes += [f"{name}: dropped" for name in request if name not in known and request[name] is not None]
    if request.get("truncation") not in (None, "disabled"):
        notes.append("truncation: dropped")
    if unsupported:
        if not drop:
            raise Unsupported(unsupported, "Gemini")
        notes += [f"{name}: dropped" for name in unsupported]
    return Written(body, tuple(dict.fromkeys(notes)))


def _items(request: Request) -> tuple[list[Item], list[dict[str, Any]]]:
    """The history and, apart from it, the text of `instructions`."""
    given = request.get("input")
    items: list[Item] = [{"role": "user", "content": given}] if isinstance(given, str) else list(given or ())
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise InvalidRequest("An input item must be an object.", param=f"input[{index}]")
    instructions = request.get("instructions")
    if isinstance(instructions, list):
        return [*instructions, *items], []
    return items, [{"text": instructions}] if instructions else []


def _settings(
    request: Request, model: str, toolbox: Toolbox, notes: list[str], unsupported: list[str]
) -> dict[str, Any]:
    settings = {theirs: request[name] for name, theirs in _SETTINGS.items() if request.get(name) is not None}
    stop = request.get("stop")
    if stop:
        settings["stopSequences"] = [stop] if isinstance(stop, str) else stop
    if request.get("top_logprobs") or unsaid.wants_logprobs(request):
        settings["responseLogprobs"] = True
        if request.get("top_logprobs"):
            settings["logprobs"] = request["top_logprobs"]
    modalities = request.get("modalities") or (["text", "image"] if toolbox.makes_images else None)
    if modalities:
        settings["responseModalities"] = [str(modality).upper() for modality in modalities]
    _format(request, settings, notes, unsupported)
    thinking = _thinking(request, model, notes)
    if thinking:
        settings["thinkingConfig"] = thinking
    for name in ("generation_config", "generationConfig"):
        own = request.get(name)
        if isinstance(own, dict):
            settings.update(own)
    return settings


def _format(request: Request, settings: dict[str, Any], notes: list[str], unsupported: list[str]) -> None:
    """JSON answers (https://ai.google.dev/gemini-api/docs/structured-output). Gemini keeps to a schema always, strict
    or not; the schema's name is the client's own label and has no place there."""
    text = request.get("text") or {}
    if text.get("verbosity") not in (None, "medium"):
        notes.append("text.verbosity: dropped")
    form = text.get("format") or {}
    kind = form.get("type") or "text"
    if kind in ("json_object", "json_schema"):
        settings["responseMimeType"] = "application/json"
        if kind == "json_schema":
            settings["responseJsonSchema"] = unsaid.described(form.get("schema") or {}, form.get("description"))
    elif kind != "text":
        unsupported.append(f"text.format.type={kind}")


def _thinking(request: Request, model: str, notes: list[str]) -> dict[str, Any]:
    """Summaries are shown when they are asked for, and when reasoning is asked for at all."""
    reasoning = request.get("reasoning")
    if not isinstance(reasoning, dict):
        return {}
    effort = reasoning.get("effort")
    config = generations.thinking(model, effort, notes)
    wants_summary = bool(reasoning.get("summary") or reasoning.get("generate_summary"))
    if generations.version(model) < (2, 5):
        if wants_summary:
            notes.append("reasoning.summary: dropped")
    elif wants_summary or effort not in (None, "none"):
        config["includeThoughts"] = True
    known = ("effort", "summary", "generate_summary")
    notes += [f"reasoning.{n}: dropped" for n in reasoning if n not in known and reasoning[n] is not None]
    return config


def _tier(request: Request, body: dict[str, Any], notes: list[str]) -> None:
    tier = request.get("service_tier")
    if tier in _TIERS:
        body["serviceTier"] = _TIERS[tier]
    elif tier not in (None, "auto"):
        notes.append("service_tier: dropped")
