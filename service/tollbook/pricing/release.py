"""A release of the catalogue as bytes, and back: what a price was before an upgrade can still be asked after it.

Only what prices a call is kept: names, matching rules, prices and the times they hold. The form is JSON, compressed, with the
library's own types by name; nothing else can be made of it.
"""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tollbook.errors import ConfigError

if TYPE_CHECKING:
    from genai_prices.types import Provider

FORMAT = 1

_LEFT_OUT = frozenset({"extractors", "description", "pricing_urls", "context_window", "deprecated"})
_LARGEST = 64 * 1024 * 1024
"""Bytes of a release, uncompressed; the catalogue of 2026 has two million."""


def pack(providers: Sequence[Provider]) -> bytes:
    """The bytes of a release."""
    return zlib.compress(json.dumps([FORMAT, _plain(list(providers))], separators=(",", ":")).encode(), 6)


def unpack(content: bytes) -> list[Provider]:
    """The release that `pack` wrote. Raises ConfigError for bytes it cannot have written."""
    try:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(content, _LARGEST)
        written, value = json.loads(text)
        if written != FORMAT:
            raise ConfigError(f"A recorded price catalogue has the format {written!r}; this Tollbook reads {FORMAT}.")
        found: list[Provider] = _made(value, _types())
    except (zlib.error, ValueError, TypeError, KeyError, AttributeError, RecursionError) as broken:
        raise ConfigError(f"A recorded price catalogue cannot be read: {broken!r}.") from None
    return found


def _plain(value: Any) -> Any:
    """What JSON can say as it is; everything else as `{type: fields}`."""
    if value is None or isinstance(value, (str, int, bool)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {"dict": {str(key): _plain(item) for key, item in value.items()}}
    if isinstance(value, Decimal):
        return {"Decimal": str(value)}
    if isinstance(value, (date, time)):
        return {type(value).__name__: value.isoformat()}
    if dataclasses.is_dataclass(value):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
    else:
        fields = vars(value)  # ModelPrice, which has the keys that were given
    kept = {name: _plain(item) for name, item in fields.items() if item is not None and name not in _LEFT_OUT}
    return {type(value).__name__: kept}


def _made(value: Any, types: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_made(item, types) for item in value]
    if not isinstance(value, dict):
        return value
    ((name, said),) = value.items()
    if name == "dict":
        return {key: _made(item, types) for key, item in said.items()}
    if name in _SCALARS:
        return _SCALARS[name](said)
    return types[name](**{field: _made(item, types) for field, item in said.items()})


_SCALARS: Mapping[str, Any] = {"Decimal": Decimal, "date": date.fromisoformat, "time": time.fromisoformat}


def _types() -> Mapping[str, Any]:
    from genai_prices import types

    names = (
        "Provider", "ModelInfo", "ModelPrice", "TieredPrices", "Tier", "ConditionalPrice", "PriceVariant",
        "StartDateConstraint", "TimeOfDateConstraint", "ClauseStartsWith", "ClauseEndsWith", "ClauseContains", "ClauseRegex",
        "ClauseEquals", "ClauseOr", "ClauseAnd",
    )  # fmt: skip
    return {name: getattr(types, name) for name in names}
