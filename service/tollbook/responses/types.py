"""Names for the wire.

What crosses the wire stays a dictionary over the decoded JSON, so that fields and enum values that are newer than this
code survive. The names say which dictionary is meant; nothing is validated by them.
"""

from __future__ import annotations

from typing import Any, TypeAlias

Request: TypeAlias = dict[str, Any]
"""Body of POST /responses."""

Item: TypeAlias = dict[str, Any]
"""One input or output item; `type` tells which, an item without `type` is a message."""

Part: TypeAlias = dict[str, Any]
"""One content part of a message: input_text, input_image, input_file, output_text, refusal ..."""

Event: TypeAlias = dict[str, Any]
"""One stream event; `type` and `sequence_number` always."""

Response: TypeAlias = dict[str, Any]
"""The Response object."""

TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})
"""Event types that end a stream. `error` is followed by `response.failed`."""

LIFECYCLE = frozenset({"response.created", "response.queued", "response.in_progress"})
"""Event types that may be held back until the first output: they carry nothing a model said."""
