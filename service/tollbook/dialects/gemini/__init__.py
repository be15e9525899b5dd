"""Gemini's generateContent and streamGenerateContent, on AI Studio and on Vertex AI.

https://ai.google.dev/api/generate-content and
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference

A stream is a sequence of whole answers-so-far ("chunks") without an end marker; a plain answer is one chunk. What has
no word of its own in Responses is told like this:

* Thought signatures travel in sealed reasoning items beside the item that they belong to (`signatures.py`).
* A citation counts UTF-8 bytes there and characters here (`grounding.py`).
* Audio is one message with one `output_audio` part, `{"type", "data", "transcript", "mime_type"}`, the bytes of all
  pieces in base64. It is the name that OpenAI's own documentation gives to audio in an output message.
* A prompt that was blocked (`promptFeedback.blockReason`) is an incomplete response without output, reason
  `content_filter`: the provider answered 200 and billed the prompt, and OpenAI's clients know this form.
* An invalid call (MALFORMED_FUNCTION_CALL, UNEXPECTED_TOOL_CALL ...) fails the response, and routing may try again;
  but when the call itself was given, it stands, and a note says what Gemini thought of it.
"""

from __future__ import annotations

from .fault import error
from .media import keeps_url
from .read import reader
from .write import write

native = False

inlines_urls: frozenset[str] = frozenset({"input_image", "input_file"})
"""Gemini reads its own files, Cloud Storage and YouTube by address (`keeps_url`); the rest must come as bytes: fetching
any address is a preview of AI Studio, and Vertex has it for few types."""

__all__ = ["error", "inlines_urls", "keeps_url", "native", "reader", "write"]
