"""Values -> checked values. A reader is a function from a `Value` to what it means; it raises Wrong, without the value itself."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, get_args
from urllib.parse import urlsplit

from .problems import Problems, Steps, Wrong, suggestion

T = TypeVar("T")

_VARIABLE = "os.environ/"
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2: token
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class FromEnvironment(str):
    """A text that came from a variable: it may stand for a number or a yes, too, and is never repeated in a message."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Value:
    """A value at its place."""

    raw: Any
    steps: Steps
    problems: Problems
    environment: Mapping[str, str]

    def child(self, step: str | int, raw: Any) -> Value:
        return Value(raw, (*self.steps, step), self.problems, self.environment)

    def resolved(self) -> Any:
        """The value, or what its `os.environ/NAME` stands for. Raises Wrong when the variable is not set."""
        if not isinstance(self.raw, str) or not self.raw.startswith(_VARIABLE):
            return self.raw
        name = self.raw.removeprefix(_VARIABLE).strip()
        if not name:
            raise Wrong(f"{_VARIABLE} needs the name of a variable")
        if name not in self.environment:
            raise Wrong(f"the environment variable {name} is not set.{suggestion(name, self.environment)}")
        if not self.environment[name]:
            raise Wrong(f"the environment variable {name} is empty")
        return FromEnvironment(self.environment[name])


Reader = Callable[[Value], T]


def kind(raw: Any) -> str:
    """What a value is, in a word for people."""
    match raw:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case Mapping():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case _:
            return type(raw).__name__


def text(value: Value) -> str:
    """Non-empty text without control characters."""
    raw = value.resolved()
    if not isinstance(raw, str):
        hint = "; put it in quotes" if isinstance(raw, bool | int | float) else ""
        raise Wrong(f"expected text, got {kind(raw)}{hint}")
    found = str(raw).strip()
    if not found:
        raise Wrong("must not be empty")
    if _CONTROL.search(found):
        raise Wrong("holds a line break or another control character")
    return found


def long_text(value: Value) -> str:
    """Text of any shape (instructions, a certificate)."""
    raw = value.resolved()
    if not isinstance(raw, str):
        raise Wrong(f"expected text, got {kind(raw)}")
    return str(raw)


def flag(value: Value) -> bool:
    raw = value.resolved()
    if isinstance(raw, FromEnvironment) and raw.lower() in ("true", "yes", "on", "1", "false", "no", "off", "0"):
        return raw.lower() in ("true", "yes", "on", "1")
    if isinstance(raw, bool):
        return raw
    raise Wrong(f"expected true or false, got {kind(raw)}")


def number(*, least: float = 0, above: bool = False) -> Reader[float]:
    """A finite number from `least` on (`above`: beyond it)."""

    def read(value: Value) -> float:
        raw = value.resolved()
        if isinstance(raw, FromEnvironment):
            raw = _from_text(raw, float)
        if isinstance(raw, bool) or not isinstance(raw, int | float):
            raise Wrong(f"expected a number, got {kind(raw)}")
        try:
            found = float(raw)
        except OverflowError as error:
            raise Wrong("the number is too large") from error
        if not math.isfinite(found):
            raise Wrong("the number must be finite")
        if found < least or (above and found == least):
            raise Wrong(f"must be {'above' if above else 'at least'} {least:g}")
        return found

    return read


def whole(*, least: int = 0) -> Reader[int]:
    """A whole number from `least` on."""

    def read(value: Value) -> int:
        raw = value.resolved()
        if isinstance(raw, FromEnvironment):
            raw = _from_text(raw, int)
        if isinstance(raw, float) and raw.is_integer():
            raw = int(raw)
        if isinstance(raw, bool) or not isinstance(raw, int):
            raise Wrong(f"expected a whole number, got {kind(raw)}")
        if raw < least:
            raise Wrong(f"must be at least {least}")
        if raw > 2**63 - 1:
            raise Wrong("the number is too large")
        return raw

    return read


def _from_text(raw: str, make: Callable[[str], T]) -> T | str:
    try:
        return make(raw)
    except ValueError:
        return raw


def one_of(literal: Any, synonyms: Mapping[str, str] | None = None) -> Reader[Any]:
    """One of the words of a Literal type."""
    words: tuple[str, ...] = get_args(literal)

    def read(value: Value) -> str:
        found = text(value)
        found = (synonyms or {}).get(found, found)
        if found not in words:
            raise Wrong(f"must be one of {', '.join(words)}.{suggestion(found, words)}")
        return found

    return read


def url(value: Value) -> str:
    """An http or https URL without credentials, query or fragment; a slash at its end is left out."""
    found = text(value)
    try:
        parts = urlsplit(found)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise Wrong("not a URL") from error
    if parts.scheme not in ("http", "https") or not host:
        raise Wrong("expected a URL that begins with https:// or http://")
    if parts.username is not None or parts.password is not None:
        raise Wrong("a URL must not hold a user name or password; use api_key or extra_headers")
    if parts.fragment:
        raise Wrong("a URL must not hold a fragment (#)")
    return found.rstrip("/")


def list_of(read: Reader[T]) -> Reader[tuple[T, ...]]:
    """A list; wrong items are reported each at its place. One plain value is a list of one."""

    def read_list(value: Value) -> tuple[T, ...]:
        raw = value.resolved()
        if isinstance(raw, str):
            return (read(value),)
        if not isinstance(raw, Sequence):
            raise Wrong(f"expected a list, got {kind(raw)}")
        found: list[T] = []
        for index, item in enumerate(raw):
            child = value.child(index, item)
            try:
                found.append(read(child))
            except Wrong as wrong:
                value.problems.add(child.steps, str(wrong))
        return tuple(found)

    return read_list


def mapping_of(read: Reader[T]) -> Reader[dict[str, T]]:
    """A mapping from any text; wrong values are reported each at its place."""

    def read_mapping(value: Value) -> dict[str, T]:
        found: dict[str, T] = {}
        for key, raw in entries(value).items():
            child = value.child(key, raw)
            try:
                found[key] = read(child)
            except Wrong as wrong:
                value.problems.add(child.steps, str(wrong))
        return found

    return read_mapping


def entries(value: Value) -> dict[str, Any]:
    """The entries of a mapping whose keys are text. Raises Wrong for anything else."""
    if not isinstance(value.raw, Mapping):
        raise Wrong(f"expected a mapping, got {kind(value.raw)}")
    if any(not isinstance(key, str) for key in value.raw):
        raise Wrong("every key must be text")
    return dict(value.raw)


def anything(value: Value) -> Any:
    """Whatever JSON can say; `os.environ/NAME` is replaced inside it, too."""
    raw = value.resolved()
    match raw:
        case None | bool():
            return raw
        case str():
            return str(raw)
        case int() | float():
            if not math.isfinite(raw):
                raise Wrong("the number must be finite")
            return raw
        case Mapping():
            return mapping_of(anything)(value)
        case list() | tuple():
            return list(list_of(anything)(value))
        case _:
            raise Wrong(f"expected what JSON can say, got {kind(raw)}")


def object_(value: Value) -> dict[str, Any]:
    """A mapping of anything."""
    return mapping_of(anything)(value)


def headers(value: Value) -> dict[str, str]:
    """Header names to values; numbers become text."""
    found: dict[str, str] = {}
    for name, raw in entries(value).items():
        child = value.child(name, str(raw) if isinstance(raw, int | float) and not isinstance(raw, bool) else raw)
        try:
            if not _HEADER_NAME.fullmatch(name):
                raise Wrong("not a header name")
            found[name] = text(child)
            if not found[name].isascii():
                raise Wrong("a header value must be ASCII")
        except Wrong as wrong:
            value.problems.add(child.steps, str(wrong))
    return found


def names_by_name(value: Value) -> dict[str, tuple[str, ...]]:
    """LiteLLM's shape of fallbacks: `[{name: [name, ...]}, ...]`; a plain mapping is understood, too."""
    raw = value.raw
    parts = [value] if isinstance(raw, Mapping) else [value.child(i, part) for i, part in enumerate(_sequence(raw))]
    found: dict[str, tuple[str, ...]] = {}
    for part in parts:
        try:
            read = mapping_of(list_of(text))(part)
        except Wrong as wrong:
            value.problems.add(part.steps, str(wrong))
            continue
        for name, targets in read.items():
            if name in found:
                value.problems.add((*part.steps, name), "has fallbacks already")
            found[name] = targets
    return found


def _sequence(raw: Any) -> Sequence[Any]:
    if isinstance(raw, str) or not isinstance(raw, Sequence):
        raise Wrong(f"expected a list of {{name: [names]}}, got {kind(raw)}")
    return raw


def section(
    value: Value,
    keys: Mapping[str, Reader[Any]],
    *,
    synonyms: Mapping[str, str] | None = None,
    foreign: Mapping[str, str] | None = None,
    family: Callable[[str], Reader[Any] | None] | None = None,
) -> dict[str, Any]:
    """The keys of a mapping that are given and right. Every other one is reported: as a warning when it is `foreign`
    (name -> what to do instead), else as a problem. `family` knows keys that are too many to list. `null` counts as not
    given."""
    try:
        given = entries(value)
    except Wrong as wrong:
        value.problems.add(value.steps, str(wrong))
        return {}
    synonyms, foreign = synonyms or {}, foreign or {}
    found: dict[str, Any] = {}
    for key, raw in given.items():
        child = value.child(key, raw)
        name = synonyms.get(key, key)
        read = keys.get(name) or (family(name) if family else None)
        if read is not None:
            if raw is None:
                continue
            if name != key and given.get(name) is not None:
                value.problems.add(child.steps, f'another name for "{name}", which is given, too; keep one')
                continue
            try:
                found[name] = read(child)
            except Wrong as wrong:
                value.problems.add(child.steps, str(wrong))
        elif key in foreign:
            hint = foreign[key]
            value.problems.warn(child.steps, f"not used{': ' + hint if hint else ''}")
        else:
            value.problems.add(child.steps, f"unknown key.{suggestion(key, (*keys, *synonyms, *foreign))}")
    return found
