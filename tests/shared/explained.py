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
        r"\$\.(provider|plugins|reasoning_format|clear_thinking|enable_thinking|random_seed|safety_model)": _OWN_PARAMETER,
        r"\$\.reasoning(\.max_tokens|\.enabled|\.effort)?": _BUDGET,
        r"\$\.thinking(\.type)?": "DeepSeek's and Z.ai's switch, beside the effort: https://api-docs.deepseek.com/guides/thinking_mode",
        r"\$\.model": "Azure's deployments are named in the path; the body may repeat it",
        r"\$\.messages\[\]\.content\[\]\.file\.filename": "OpenAI refuses a file without a name",
        r"\$\.response_format\.json_schema\.name": "OpenAI refuses a schema without a name",
        r"\$\.messages\[\]\.cache_control": "a mark on a whole message is no part of the chat API; here parts carry it",
        r"\$\.messages\[\]\.tool_calls\[\]\.cache_control": "what the model said carries no marks of the client",
    },
    "chat@xai": {
        r"\$\.messages\[\]\.reasoning_content": "xAI shows reasoning and does not take it back",
    },
    "chat@ollama": {
        r"\$\.messages\[\]\.reasoning_content": "Ollama reads `reasoning`; the recorded client wrote it under both names",
    },
    "chat@local": {
        r"\$\.messages\[\]\.reasoning_content": "a host of one's own; `manner.returns_reasoning` of its deployment says so",
    },
    "chat@vercel-gateway": {
        r"\$\.messages\[\]\.reasoning": "repeats what `reasoning_details` says",
    },
    "chat@openrouter": {
        r"\$\.messages\[\]\.reasoning": "repeats what `reasoning_details` says",
    },
    "chat@gpustack": {
        r"\$\.messages\[\]\.reasoning": "vLLM's templates read `reasoning_content`; the recorded client wrote both",
    },
    "anthropic": {
        r"\$\.tools\[\]\.strict": "Anthropic takes at most 20 strict tools; with more none is, and a note says so",
        r"\$\.thinking(\.type|\.budget_tokens)?": _BUDGET,
        r"\$\.thinking\.display": "summaries are shown by default where Responses shows them",
        r"\$\.output_config(\.effort)?": _BUDGET,
        r"\$\.tools\[\]\.eager_input_streaming": "a transport setting of fine-grained tool streaming; no such thing in Responses",
        r"\$\.tools\[\]\.type": "the dated version of a server tool is the gateway's choice, not the client's",
        r"\$\.mcp_servers\[\]\.tool_configuration": "its name before mcp-client-2025-11-20; now a toolset in `tools`",
        r"\$\.tools(\[\])?": "MCP servers are named in `tools` since mcp-client-2025-11-20",
    },
    "gemini": {
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
        r"\$\.messages\[\]\.content\[\]\.document\.citations": "Responses has no switch for the citations of one document",
        r"\$\.messages\[\]\.content\[\]\.document\.name": "Bedrock refuses names with anything but letters, digits and spaces",
    },
    "cohere": {
        r"\$\.thinking(\.token_budget)?": _BUDGET,
    },
    "responses": {
        r"\$\.model": "a stored prompt may bring its model; a gateway routes by one, so its clients always say it",
    },
}


# Whole requests with a story of their own, by the beginning of their ids.
STORIES: dict[str, str] = {
    "llamacpp-chat-image-tool-result-": "tool messages take text only; an image follows in a message of the user",
    "openai-chat-chatcompletionsanthropiccachecontrolparam-": "cache_control was meant for a proxy; OpenAI refuses the mark",
    "openai-chat-multimodalrequest-chat-completions-e97d6ccc1946-": "an assistant's message without content says nothing",
    "openai-chat-tools-streaming-variant-d-": "two assistant messages in a row, text and call, are one turn",
    "bedrock-invoke-recordings-handle-api-errors-": "the model id names no Claude: Converse is spoken, not InvokeModel",
    "bedrock-invoke-stream-recordings-handle-streaming-errors-": "the model id names no Claude: Converse is spoken",
    "anthropic-messages-strict-schema-matrix-boolean-root-": "wrong on purpose; the gateway says so before Anthropic does",
    "anthropic-messages-strict-schema-matrix-external-root-ref-": "wrong on purpose; Anthropic demands `type: object`",
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


def explanations(recording: Any) -> dict[str, str]:
    """The rows for this recording's format and host: path pattern -> reason."""
    name = family(recording.api)
    return {**EXPLAINED[name], **EXPLAINED.get(f"{name}@{recording.provider}", {})}


def unexplained(recording: Any, sent: Any) -> list[str]:
    """A line for each difference that no table explains."""
    table = explanations(recording)
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
