"""Where the gateway's request may differ from the one that the vendor's own client sent, and why.

Paths have `[]` for any index and are matched whole. Everything else must be equal, field by field.
"""

from __future__ import annotations

import re
from typing import Any

from .library import replay
from .spelling import spelled

_BUDGET = (
    "Responses says effort in words; how many tokens a word is worth is the gateway's choice, and whether the model takes "
    "a budget or a word is a fact about the model"
)
_OWN_PARAMETER = "a parameter of this host alone; it is set per deployment with extra_body"
_REPORT = "asked for always, so that tokens and money are known"

EXPLAINED: dict[str, dict[str, str]] = {
    "chat": {
        r"\$\.stream_options(\.include_usage)?": _REPORT,
        r"\$\.usage(\.include)?": _REPORT,
        r"\$\.(provider|plugins|reasoning_format|clear_thinking|enable_thinking|random_seed|safety_model)": _OWN_PARAMETER,
        r"\$\.messages\[\]\.cache_control": "a mark on a whole message is no part of the chat API; here parts carry it",
        r"\$\.messages\[\]\.tool_calls\[\]\.cache_control": "what the model said carries no marks of the client",
    },
    "anthropic": {
        r"\$\.thinking(\.type|\.budget_tokens)?": _BUDGET,
        r"\$\.thinking\.display": "summaries are shown by default where Responses shows them",
        r"\$\.output_config(\.effort)?": _BUDGET,
        r"\$\.tools\[\]\.eager_input_streaming": "a transport setting of fine-grained tool streaming; no such thing in Responses",
        r"\$\.tools\[\]\.type": "the dated version of a server tool is the gateway's choice, not the client's",
        r"\$\.mcp_servers\[\]\.tool_configuration": "its name before mcp-client-2025-11-20; now a toolset in `tools`",
        r"\$\.tools(\[\])?": "MCP servers are named in `tools` since mcp-client-2025-11-20",
    },
    "gemini": {
        r"\$\.generationConfig\.responseSchema\.title": "the name of a format goes along as its title",
        r"\$\.toolConfig(\.includeServerSideToolInvocations)?": "asked for, so that server-side tool calls become items",
        r"\$\.generationConfig\.thinkingConfig\.(thinkingBudget|thinkingLevel)": _BUDGET,
        r"\$\.contents\[\]\.parts\[\]\.fileData\.mimeType": "a file by URL has no type in Responses; Google finds it out",
        r"\$\.contents\[\]\.parts\[\]\.inlineData\.mimeType": "audio/x-wav is an older name of audio/wav",
        r"\$\.tools\[\]\.functionDeclarations\[\]\.responseJsonSchema": "Responses does not describe what a tool gives back",
        r"\$\.safetySettings": _OWN_PARAMETER,
    },
    "converse": {
        r"\$\.inferenceConfig(\.maxTokens)?": "a thinking budget lies below maxTokens: one is set where the client set none",
        r"\$\.additionalModelRequestFields\.thinking(\.budget_tokens|\.display)?": _BUDGET,
        r"\$\.outputConfig(\.effort)?": _BUDGET,
        r"\$\.additionalModelRequestFields": _BUDGET,
        r"\$\.messages\[\]\.content\[\]\.document\.citations": "Responses has no switch for the citations of one document",
        r"\$\.messages\[\]\.content\[\]\.document\.context": "Responses has no description of a document",
        r"\$\.messages\[\]\.content\[\]\.document\.name": "Bedrock refuses names with anything but letters, digits and spaces",
    },
    "cohere": {
        r"\$\.thinking(\.token_budget)?": _BUDGET,
    },
    "responses": {
        r"\$\.model": "a stored prompt may bring its model; a gateway routes by one, so its clients always say it",
    },
}


def family(api: str) -> str:
    """Which of the tables above a wire format has."""
    if api.startswith(("anthropic.", "vertex.anthropic.", "bedrock.invoke")):
        return "anthropic"
    if api.startswith(("gemini.", "vertex.")):
        return "gemini"
    if api.startswith("bedrock."):
        return "converse"
    return {"openai.chat": "chat", "cohere.v2.chat": "cohere", "openai.responses": "responses"}[api]


def unexplained(recording: Any, sent: Any) -> list[str]:
    """A line for each difference that no table explains."""
    table = EXPLAINED[family(recording.api)]
    lines = []
    for path, wanted, got in replay().diff_json(
        spelled(recording.api, recording.request_json), spelled(recording.api, sent)
    ):
        place = re.sub(r"\[\d+\]", "[]", path)
        if not any(re.fullmatch(pattern, place) for pattern in table):
            lines.append(f"{path}: recorded {_short(wanted)}, sent {_short(got)}")
    return lines


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:150]} ... {text[-40:]}"
