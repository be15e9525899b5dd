"""What callers get: the wire's JSON with attributes, as OpenAI's own client has them.

    Object
    ├── Response ─ ParsedResponse[T]      a response; what it cost, and the call that made it
    ├── Item                              one of its output or input items
    │   ├── Message ─ content: Part …
    │   ├── FunctionCall, CustomToolCall
    │   └── Reasoning
    ├── Part                              one content part of a message
    ├── Usage
    ├── Event                             one event of a stream
    │   ├── ResponseEvent                 created, in_progress, completed, incomplete, failed: has `response`
    │   ├── ItemEvent, PartEvent          added and done
    │   ├── DeltaEvent                    a piece of text, reasoning or arguments
    │   └── ErrorEvent
    ├── ItemList                          a page of input items
    └── Deleted

Nothing is validated and nothing is lost: a field that is newer than this code is an attribute like the others, a value
that is newer stays as it is, and an item or event of an unknown type is an `Item` or `Event`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from copy import deepcopy
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeAlias, TypeVar, cast

if TYPE_CHECKING:
    from .call import Call

T = TypeVar("T")

_Kinds: TypeAlias = "Mapping[str, type[Object]]"

_MAPS = frozenset({"metadata", "parameters", "schema", "variables", "logit_bias", "headers"})
"""Fields that hold somebody's own keys: they stay plain dictionaries."""


class Object:  # noqa: PLW1641 - it can be changed, so it has no hash
    """A JSON object: `thing.field`, `thing["field"]`, `thing.get("field")`, `"field" in thing`, `dict(thing)`.

    A field that the class names and the JSON does not have is None; any other missing one raises AttributeError (or
    KeyError). Where a field has the name of a method, the method is the attribute and the field is the item.
    """

    __slots__ = ("__weakref__", "_fields")

    _parts: ClassVar[_Kinds] = {}
    """What the objects in a field are, where that is known."""
    _names: ClassVar[frozenset[str]] = frozenset()
    """The fields that a class and those above it name."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls._names |= {name for name in cls.__annotations__ if not name.startswith("_")}

    def __init__(self, fields: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        given = {**(fields or {}), **more}
        self._fields = {name: self._made(name, value) for name, value in given.items()}

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """The object for this JSON; of the class that fits its `type`, where there are several."""
        return cls(fields)

    def _made(self, name: str, value: Any) -> Any:
        if isinstance(value, str | int | float | None):  # most are
            return value
        if name in _MAPS:
            return deepcopy(value)
        return _wrapped(value, self._parts.get(name, Object))

    # ------------------------------------------------------------------------------------------------------- fields

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_"):
            fields = self._fields
            if name in fields:
                return fields[name]
            if name in self._names:
                return None
        raise AttributeError(f"{type(self).__name__} has no field {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
        else:
            self._fields[name] = self._made(name, value)

    def __getitem__(self, name: str) -> Any:
        return self._fields[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._fields[name] = self._made(name, value)

    def __contains__(self, name: object) -> bool:
        return name in self._fields

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Pairs of name and value, as Pydantic's models give them: `dict(thing)`."""
        return iter(self._fields.items())

    def get(self, name: str, default: Any = None) -> Any:
        """The field, or `default` where there is none."""
        return self._fields.get(name, default)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Object):
            return type(self) is type(other) and self._fields == other._fields
        return NotImplemented

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._fields.items())})"

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._fields, *self._names})

    # --------------------------------------------------------------------------------------------------------- JSON

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, a copy."""
        return {name: _plain(value) for name, value in self._fields.items()}

    def to_json(self, *, indent: int | None = 2) -> str:
        """The same as text."""
        return self.model_dump_json(indent=indent)

    def model_dump(
        self,
        *,
        mode: str = "python",  # noqa: ARG002 - JSON has one form; here for those who come from Pydantic
        include: AbstractSet[str] | None = None,
        exclude: AbstractSet[str] | None = None,
        exclude_none: bool = False,
        exclude_unset: bool = False,  # noqa: ARG002 - what was not sent is not here
        exclude_defaults: bool = False,  # noqa: ARG002 - nothing has a default
        by_alias: bool | None = None,  # noqa: ARG002 - names are the wire's
    ) -> dict[str, Any]:
        """Plain JSON values, as Pydantic's method of that name; `include` and `exclude` name fields of this object."""
        found = {
            name: value
            for name, value in self.to_dict().items()
            if (include is None or name in include) and (exclude is None or name not in exclude)
        }
        return cast("dict[str, Any]", _without_none(found)) if exclude_none else found

    def model_dump_json(self, *, indent: int | None = None, **options: Any) -> str:
        """JSON text; `options` are those of `model_dump`."""
        import json

        separators = (",", ":") if indent is None else None
        return json.dumps(self.model_dump(**options), indent=indent, separators=separators, ensure_ascii=False)


def _wrapped(value: Any, kind: type[Object]) -> Any:
    if isinstance(value, Object):
        return value
    if isinstance(value, Mapping):
        return kind.of(value)
    if isinstance(value, list | tuple):
        return [_wrapped(each, kind) for each in value]
    return value


def _listed(value: Any) -> list[Any]:
    """The list that belongs there; a provider's nonsense is an empty one."""
    return value if isinstance(value, list) else []


def _plain(value: Any) -> Any:
    if isinstance(value, Object):
        return value.to_dict()
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return deepcopy(value) if isinstance(value, dict) else value


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_none(each) for name, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_none(each) for each in value]
    return value


# ------------------------------------------------------------------------------------------------------------ items


class Annotation(Object):
    """What a text refers to: url_citation, file_citation, container_file_citation, file_path."""

    __slots__ = ()
    type: str
    url: str | None
    title: str | None
    start_index: int | None
    end_index: int | None
    file_id: str | None


class Part(Object):
    """One content part: output_text, refusal, reasoning_text, summary_text, input_text, input_image …"""

    __slots__ = ()
    type: str
    text: str
    refusal: str
    annotations: list[Annotation]
    _parts: ClassVar[_Kinds] = {"annotations": Annotation}


class Item(Object):
    """One output or input item; `type` tells which."""

    __slots__ = ()
    id: str | None
    type: str
    status: str | None
    role: str | None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        kind = _ITEMS.get(str(fields.get("type") or "message"), Item) if cls is Item else cls
        return cast("Self", kind(fields))


class Message(Item):
    """Something that was said."""

    __slots__ = ()
    role: str
    content: list[Part]
    _parts: ClassVar[_Kinds] = {"content": Part}


class FunctionCall(Item):
    """A call of a function of yours. Answer it with an item `{"type": "function_call_output", "call_id": …, "output": …}`."""

    __slots__ = ()
    call_id: str
    name: str
    arguments: str
    """JSON text, as the model wrote it."""


class CustomToolCall(Item):
    """A call of a custom tool of yours; `input` is free text."""

    __slots__ = ()
    call_id: str
    name: str
    input: str


class Reasoning(Item):
    """What the model thought, as far as its provider tells."""

    __slots__ = ()
    summary: list[Part]
    content: list[Part] | None
    encrypted_content: str | None
    _parts: ClassVar[_Kinds] = {"summary": Part, "content": Part}


_ITEMS: Mapping[str, type[Item]] = {
    "message": Message,
    "function_call": FunctionCall,
    "custom_tool_call": CustomToolCall,
    "reasoning": Reasoning,
}


# --------------------------------------------------------------------------------------------------------- response


class InputTokensDetails(Object):
    """Of the input tokens."""

    __slots__ = ()
    cached_tokens: int


class OutputTokensDetails(Object):
    """Of the output tokens."""

    __slots__ = ()
    reasoning_tokens: int


class Usage(Object):
    """Tokens, as the provider counted them."""

    __slots__ = ()
    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int
    _parts: ClassVar[_Kinds] = {
        "input_tokens_details": InputTokensDetails,
        "output_tokens_details": OutputTokensDetails,
    }


class ResponseError(Object):
    """Why a response failed."""

    __slots__ = ()
    code: str
    message: str


class IncompleteDetails(Object):
    """Why a response ended early: max_output_tokens, content_filter."""

    __slots__ = ()
    reason: str | None


class Response(Object):
    """A response, with what it cost and the record of the call that made it."""

    __slots__ = ("_call", "_parse", "_parsed")

    id: str
    object: str
    created_at: float
    completed_at: float | None
    status: str | None
    model: str
    output: list[Item]
    usage: Usage | None
    error: ResponseError | None
    incomplete_details: IncompleteDetails | None
    instructions: str | list[Item] | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    metadata: dict[str, str] | None
    parallel_tool_calls: bool
    previous_response_id: str | None
    reasoning: Object | None
    service_tier: str | None
    store: bool | None
    background: bool | None
    temperature: float | None
    text: Object | None
    tool_choice: Any
    tools: list[Object]
    top_logprobs: int | None
    top_p: float | None
    truncation: str | None
    user: str | None
    safety_identifier: str | None
    prompt_cache_key: str | None

    _parts: ClassVar[_Kinds] = {
        "output": Item,
        "instructions": Item,
        "usage": Usage,
        "error": ResponseError,
        "incomplete_details": IncompleteDetails,
    }

    def __init__(self, fields: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        super().__init__(fields, **more)
        self._call: Call | None = None
        self._parse: Callable[[str], Any] | None = None
        self._parsed: Any = None

    @property
    def call(self) -> Call | None:
        """The record of the call that gave this: its id, every attempt with times, tokens and cost, and notes of what a
        provider had no words for. None for a response in the middle of a stream."""
        return self._call

    @property
    def cost_usd(self) -> Decimal | None:
        """What making it cost, all attempts together, exactly. None when no price is known, and for a response that this
        call did not make (`get_responses`)."""
        if self._call is None or self._call.operation != "create" or self._call.ended is None:
            return None
        total = self._call.cost.total
        return None if total is None else Decimal(total) / 1_000_000_000

    @property
    def output_text(self) -> str:
        """All that was said, in one string; "" when nothing was."""
        messages = [item for item in _listed(self.output) if isinstance(item, Message)]
        said = [part for item in messages for part in _listed(item.content) if isinstance(part, Part)]
        return "".join(str(part.text or "") for part in said if part.type == "output_text")

    @property
    def output_parsed(self) -> Any:
        """What was said as an object of `text_format`; None without one, and for an answer that is a refusal, a tool call
        or incomplete. Raises Pydantic's ValidationError for one that does not fit."""
        if self._parse is not None and self._parsed is None and self.status == "completed" and self.output_text:
            self._parsed = self._parse(self.output_text)
        return self._parsed

    def made_by(self, call: Call, parse: Callable[[str], Any] | None = None) -> Self:
        """This response, with the record of its call and what makes an object of its text."""
        self._call, self._parse = call, parse
        return self


class ParsedResponse(Response, Generic[T]):
    """A response to a request with `text_format`."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def output_parsed(self) -> T | None: ...


class Deleted(Object):
    """The answer of `delete_responses`."""

    __slots__ = ()
    id: str
    object: str
    deleted: bool


class ItemList(Object):
    """A page of the input of a response; the next one begins `after=page.last_id`."""

    __slots__ = ()
    object: str
    data: list[Item]
    first_id: str | None
    last_id: str | None
    has_more: bool
    _parts: ClassVar[_Kinds] = {"data": Item}


# ----------------------------------------------------------------------------------------------------------- events


class Event(Object):
    """One event of a stream; `type` tells which."""

    __slots__ = ()
    type: str
    sequence_number: int

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        kind = _event_kind(str(fields.get("type"))) if cls is Event else cls
        return cast("Self", kind(fields))


class ResponseEvent(Event):
    """`response.created`, `.queued`, `.in_progress`, `.completed`, `.incomplete`, `.failed`: the whole response so far."""

    __slots__ = ()
    response: Response
    _parts: ClassVar[_Kinds] = {"response": Response}


class ItemEvent(Event):
    """`response.output_item.added` and `.done`."""

    __slots__ = ()
    output_index: int
    item: Item
    _parts: ClassVar[_Kinds] = {"item": Item}


class PartEvent(Event):
    """`response.content_part.*` and `response.reasoning_summary_part.*`: added and done."""

    __slots__ = ()
    item_id: str
    output_index: int
    content_index: int | None
    summary_index: int | None
    part: Part
    _parts: ClassVar[_Kinds] = {"part": Part}


class DeltaEvent(Event):
    """A piece: `response.output_text.delta`, `.refusal.delta`, `.reasoning_text.delta`, `.function_call_arguments.delta` …"""

    __slots__ = ()
    item_id: str
    output_index: int
    content_index: int | None
    delta: str


class ErrorEvent(Event):
    """Something went wrong after the stream had begun; `response.failed` follows."""

    __slots__ = ()
    error: Object | None
    code: str | None
    message: str | None
    param: str | None


_RESPONSE_EVENTS = frozenset({"created", "queued", "in_progress", "completed", "incomplete", "failed"})
_ITEM_EVENTS = frozenset({"response.output_item.added", "response.output_item.done"})
_PART_BRACKETS = ("response.content_part.", "response.reasoning_summary_part.")


@lru_cache(maxsize=256)  # providers invent types
def _event_kind(name: str) -> type[Event]:
    head, _, last = name.rpartition(".")
    if head == "response" and last in _RESPONSE_EVENTS:
        return ResponseEvent
    if name in _ITEM_EVENTS:
        return ItemEvent
    if name.startswith(_PART_BRACKETS):
        return PartEvent
    return DeltaEvent if last == "delta" else ErrorEvent if name == "error" else Event
