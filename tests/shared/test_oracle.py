"""The oracle against what the collection's own index says of each recording, and against itself."""

from __future__ import annotations

from typing import Any

import pytest

from .exceptions import EXCEPTIONS
from .library import entries, library
from .oracle import Said, said

# Recordings whose feature list and bytes part, as seen by reading them.
_ODD = {
    # marked max-tokens for an inner stop reason (the advisor's own answer), not the message's
    "max-tokens": ("anthropic-messages-anthropic-advisor-stop-reasons-",),
    # read from the cache at first, but not by what counts: the last report, after a compaction
    "cached-tokens": ("anthropic-messages-anthropic-compaction-usage-with-cache-streaming-",),
    # calls that count for nothing: server_tool_use of Nova is run by the provider, Vertex disowns an undeclared tool
    "tool-call": (
        "bedrock-converse-stream-chat-web-search-with-bedrock-amazon-nova-2-lite",
        "vertex-generatecontent-multimodal-tool-returns-return-matrix-content-",
    ),
    "parallel-tool-calls": (
        "bedrock-converse-bedrock-model-with-code-execution-tool-",
        # the two calls are in two choices
        "openai-chat-completion-stream-multiple-choices-with-tools-",
        # pieces of one call
        "vertex-streamgeneratecontent-google-stream-tool-call-array-arguments-",
    ),
    # empty thinking with a signature (display: omitted), or only redacted blocks, or a signature on the message
    "reasoning-text": ("anthropic-messages-", "bedrock-converse-", "gemini-chat-", "mistralrs-responses-"),
    # citations without URL and title (page and character ranges of an unnamed document, stores, PDF parse annotations)
    "citations": (
        "anthropic-messages-anthropic-generate-text-with-custom-content-document-cit-",
        "anthropic-messages-anthropic-stream-with-citations-",
        "anthropic-messages-anthropic-web-fetch-",
        "gemini-generatecontent-google-model-file-search-",
        "gemini-streamgeneratecontent-google-model-file-search-",
        "openrouter-chat-open-router-pdf-",
    ),
    # finish reason content_filter with a refusal text beside it
    "refusal": ("openrouter-chat-refusal-matrix-blocking-gpt-4-1-",),
    "text": (),
}


def _all(feature: str) -> list[str]:
    odd = _ODD.get(feature, ())
    return [
        e["id"]
        for e in entries()
        if feature in e["features"] and e["status"] == 200 and e["id"] not in EXCEPTIONS and not e["id"].startswith(odd)
    ]


def _broken(feature: str, holds: Any) -> list[str]:
    """Ids of the recordings with this feature for which the rule does not hold."""
    chosen = _all(feature)
    assert chosen, f"there are recordings with the feature {feature}"
    return [i for i in chosen if not holds(said(library()[i]))]


def test_every_recording_has_something_to_say() -> None:
    for entry in entries():
        if entry["id"] not in EXCEPTIONS:
            assert isinstance(said(library()[entry["id"]]), Said)


RULES: list[tuple[str, Any]] = [
    ("tool-call", lambda s: len(s.calls) >= 1 and s.stop in ("tool_calls", "length")),
    ("parallel-tool-calls", lambda s: len(s.calls) >= 2),
    ("max-tokens", lambda s: s.stop == "length"),
    ("reasoning-text", lambda s: bool(s.reasoning)),
    ("reasoning-summary", lambda s: bool(s.reasoning)),
    ("citations", lambda s: bool(s.citations)),
    ("refusal", lambda s: s.stop == "refusal" and s.refusal is not None),
    ("cached-tokens", lambda s: s.tokens is not None and s.tokens.cached != 0),
    ("cache-write-tokens", lambda s: s.tokens is not None and s.tokens.cache_write > 0),
    ("reasoning-usage", lambda s: s.tokens is not None),
    ("midstream-error", lambda s: s.failure is not None and s.stop == "error"),
    ("response-failed", lambda s: s.failure is not None and s.stop == "error"),
]


@pytest.mark.parametrize(("feature", "rule"), RULES, ids=[name for name, _ in RULES])
def test_the_oracle_agrees_with_the_index(feature: str, rule: Any) -> None:
    assert _broken(feature, rule) == []


def test_an_answer_without_tool_calls_has_text_unless_it_ended_otherwise() -> None:
    silent = (
        "anthropic-messages-anthropic-advisor-stop-reasons-",  # text is in the advisor's result
        "anthropic-messages-chat-tool-choice-and-calls-control-anthropic-claude-haik-",  # content: []
        "gemini-generatecontent-responsemodalitiesaudioparam-",  # audio only
        "gemini-streamgeneratecontent-responsemodalitiesaudioparam-",
        "gemini-generatecontent-gemini-tts-",
        "openai-responses-responsescustomtoolcallstreamingparam-",  # reasoning only
    )

    def ended(found: Said) -> bool:
        return bool(found.text) or bool(found.calls) or found.stop != "stop"

    assert [i for i in _all("text") if not ended(said(library()[i])) and not i.startswith(silent)] == []


def test_no_call_is_told_where_the_index_knows_none() -> None:
    unmarked = ("cohere-v2-chat-", "openai-chat-functions-open-ai-function-calls-")  # features were not derived there

    found = [
        e["id"]
        for e in entries()
        if e["status"] == 200 and "tool-call" not in e["features"] and e["id"] not in EXCEPTIONS
    ]

    assert [i for i in found if said(library()[i]).calls and not i.startswith(unmarked)] == []


def test_kinds_of_tokens_are_subsets_of_their_totals() -> None:
    for entry in entries():
        if entry["id"] in EXCEPTIONS:
            continue
        tokens = said(library()[entry["id"]]).tokens
        if tokens is not None:
            assert (tokens.cached or 0) + tokens.cache_write <= tokens.input, entry["id"]
            assert tokens.reasoning <= tokens.output, entry["id"]


def _reported_total(recording: Any) -> int | None:
    """The grand total that a provider reports beside the parts, the last one told."""
    total = None
    for _, event in recording.events():
        if not isinstance(event, dict):
            continue
        places = [event, event.get("response") or {}, event.get("metadata") or {}, event.get("x_groq") or {}]
        for place in places:
            usage = place.get("usage") or place.get("usageMetadata")
            if isinstance(usage, dict):
                total = usage.get("total_tokens") or usage.get("totalTokenCount") or usage.get("totalTokens") or total
    return total


def test_tokens_add_up_to_the_total_that_the_provider_reports() -> None:
    unlike = (
        "vercel-gateway-chat-gemini-3-pro-preview-",  # the total leaves out the thoughts that the details tell
        "gemini-generatecontent-gemini-generate-text-with-a-prompt-thinking-budget-",  # edited: 61 of 17 + 492 + 1209
    )
    differing = []
    for entry in entries():
        if entry["status"] != 200 or entry["id"] in EXCEPTIONS or entry["id"].startswith(unlike):
            continue
        recording = library()[entry["id"]]
        tokens, total = said(recording).tokens, _reported_total(recording)
        if tokens is not None and total is not None and tokens.input + tokens.output != total:
            differing.append((entry["id"], tokens, total))

    assert differing == []


def test_each_error_answer_has_one_kind_and_the_providers_words() -> None:
    refused = [e for e in entries() if e["status"] >= 400]
    assert len(refused) > 100
    for entry in refused:
        failure = said(library()[entry["id"]]).failure
        assert failure is not None
        assert failure.status == entry["status"]
        assert failure.message or "empty-body" in entry["features"], entry["id"]
