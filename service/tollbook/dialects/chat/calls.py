"""Tool calls of Chat Completions, whose fragments are told apart by index, by id, or by nothing."""

from __future__ import annotations

from typing import Any

from tollbook.responses.draft import Draft
from tollbook.transport.wire import encode


class Call:
    """One call while it grows; `waiting` holds arguments that came before the name."""

    __slots__ = ("call_id", "has_arguments", "index", "name", "upstream_id", "waiting")

    def __init__(self, index: int | None, upstream_id: str, call_id: str) -> None:
        self.index = index
        self.upstream_id = upstream_id
        self.call_id = call_id
        self.name = ""
        self.waiting = ""
        self.has_arguments = False


class Calls:
    """The calls of one answer.

    Fragments carry an `index` (OpenAI and most), only an `id` (Mistral, Ollama) or neither (Gemini, where a fragment is
    a whole call); `id` and `name` may be empty or repeated in later ones (Alibaba, OpenAI).
    """

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._calls: list[Call] = []

    def __len__(self) -> int:
        return len(self._calls)

    def find(self, fragment: dict[str, Any]) -> Call | None:
        """The call that this fragment goes on with; None when a new one begins."""
        index, identifier = fragment.get("index"), fragment.get("id") or ""
        names = bool(_function(fragment).get("name"))
        for call in reversed(self._calls):
            if isinstance(index, int):
                # The same index under another id and name is another call: some hosts number every call 0.
                if call.index == index and not (names and identifier and call.upstream_id != identifier):
                    return call
            elif identifier:
                if call.upstream_id == identifier:
                    return call
            elif not names:
                return call
        return None

    def begin(self, fragment: dict[str, Any]) -> Call:
        """A new call. A host that gives no id gets one made from the response's own."""
        index, identifier = fragment.get("index"), fragment.get("id")
        upstream_id = identifier if isinstance(identifier, str) else ""
        made = f"call_{self._draft.response['id'].rpartition('_')[2]}_{len(self._calls)}"
        call = Call(index if isinstance(index, int) else None, upstream_id, upstream_id or made)
        self._calls.append(call)
        return call

    def feed(self, call: Call, fragment: dict[str, Any]) -> None:
        """The name and the piece of arguments in this fragment."""
        function = _function(fragment)
        name, arguments = function.get("name"), function.get("arguments", function.get("input"))
        if not call.name and isinstance(name, str) and name:
            call.name = name
            self._draft.call(call, call_id=call.call_id, name=name)
        if isinstance(arguments, (dict, list)):
            arguments = encode(arguments).decode()
        # Arguments are an object: "null" alone (Groq) says that there are none.
        if not isinstance(arguments, str) or (arguments == "null" and not call.has_arguments):
            arguments = ""
        call.waiting += arguments
        call.has_arguments = call.has_arguments or bool(arguments)
        if call.name and call.waiting:
            self._draft.arguments(call, call.waiting)
            call.waiting = ""

    def finish(self) -> None:
        """Nothing more comes: a call that never got a name is told without one, so that it is not lost."""
        for call in self._calls:
            if not call.name:
                self._draft.call(call, call_id=call.call_id, name="")
                self._draft.arguments(call, call.waiting)


def _function(fragment: dict[str, Any]) -> dict[str, Any]:
    """The function, or the custom tool, of a fragment; Snowflake sends both, one of them empty."""
    function, custom = fragment.get("function"), fragment.get("custom")
    if isinstance(function, dict) and (function.get("name") or not isinstance(custom, dict)):
        return function
    return custom if isinstance(custom, dict) else {}
