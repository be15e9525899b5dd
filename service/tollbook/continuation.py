"""One stream out of an answer that broke off and of another deployment's continuation. Opt-in:
`router_settings.enable_mid_stream_fallback_continuation`.

The next deployment is given what was already said as an assistant message and is asked to go on. What it says are items of
its own, after those of the first: a client sees one response with one id and one numbering, and who said what stays apart.
"""

from __future__ import annotations

from typing import Any

from .config import RouterSettings
from .errors import TollbookError, UpstreamError
from .responses import request as requests
from .responses.draft import Draft
from .responses.fold import Fold
from .responses.types import LIFECYCLE, TERMINAL, Item, Request, Response
from .routing.policy import POLICY
from .transport.frame import Frame

_GO_ON = (
    "Your answer above was interrupted by a technical failure. Continue it exactly where it stops. "
    "Do not repeat anything, do not begin again and do not mention the interruption."
)


def told(request: Request, settings: RouterSettings) -> Told | None:
    """What is to be remembered of a stream that others may continue; None where they may not: it is not switched on, or
    the output must fit a schema."""
    if not settings.enable_mid_stream_fallback_continuation or not request.get("stream"):
        return None
    form = (request.get("text") or {}).get("format")
    kind = form.get("type") if isinstance(form, dict) else None
    return None if kind not in (None, "text") or request.get("background") else Told()


class Told:
    """What the client was told so far, whoever said it."""

    def __init__(self) -> None:
        self.broken = False
        """Whether an answer broke off and another deployment goes on."""
        self._fold = Fold()
        self._number = 0
        self._open: list[int] = []
        """Indexes of items that are not done."""
        self._parts: set[tuple[int, str, int]] = set()
        """Parts that are not done: item, field, index."""
        self._before: list[Item] = []
        """Items of the attempts that broke off."""
        self._begun: Response = {}

    def hear(self, frames: list[Frame]) -> list[Frame]:
        """The frames as the client gets them: a continuation's are numbered on, and it does not begin again."""
        if not self.broken:
            for frame in frames:
                self._note(frame.event)
            return frames
        return [self._joined(frame) for frame in frames if frame.type not in LIFECYCLE]

    def goes_on(self, error: UpstreamError) -> bool:
        """Whether another deployment may continue: nothing but text and thought was told, and elsewhere it may work."""
        items = self._fold.response["output"]
        plain = all(item.get("type") == "reasoning" or _is_text(item) for item in items)
        return POLICY[error.kind].elsewhere and plain

    def break_off(self, frames: list[Frame]) -> list[Frame]:
        """The last frames of an attempt that failed, then the events that close what it left open."""
        last = self.hear([frame for frame in frames if frame.type not in TERMINAL])
        self.broken = True
        closing = [Frame(event["type"], event=event) for event in self._closing()]
        self._before = list(self._fold.response["output"])
        return [*last, *closing]

    def request(self, request: Request) -> Request:
        """The request for whom goes on: with what was said, and a word that it is to be continued."""
        said = "".join(
            part.get("text") or "" for item in self._before if item.get("type") == "message" for part in item["content"]
        )
        if not said:
            return request
        answer = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": said}]}
        word = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": _GO_ON}]}
        return {**request, "input": [*requests.items(request), answer, word]}

    @property
    def items(self) -> int:
        """How many items were told before the present attempt."""
        return len(self._before)

    @property
    def response_id(self) -> str | None:
        """The id that the client knows."""
        return self._begun.get("id")

    def end(self, draft: Draft) -> list[Frame]:
        """The last frames of the response, which is then the draft's."""
        frames = self.hear(draft.take())
        if self.broken and frames and frames[-1].type in TERMINAL:
            draft.response = frames[-1].event["response"]
        return frames

    def fail(self, draft: Draft, error: TollbookError) -> None:
        """Nobody can go on: the response ends with all that was told. The draft is the last attempt's."""
        if not self.broken:
            draft.fail(error)
            return
        last = Draft({}, response_id=self.response_id)
        last.response = {**self._begun, "output": []}
        last.fail(error)
        draft.frames, draft.response, draft.error = last.frames, last.response, error

    # ------------------------------------------------------------------------------------------------------ inside

    def _note(self, event: dict[str, Any]) -> None:
        """Remember an event that the client gets."""
        self._number += 1
        self._fold.feed(event)
        kind, index = event["type"], event.get("output_index")
        if kind in LIFECYCLE:
            self._begun = event["response"]
        elif kind == "response.output_item.added":
            self._open.append(event["output_index"])
        elif kind == "response.output_item.done" and index in self._open:
            self._open.remove(index)
        elif kind in ("response.content_part.added", "response.reasoning_summary_part.added"):
            self._parts.add(_place(event))
        elif kind in ("response.content_part.done", "response.reasoning_summary_part.done"):
            self._parts.discard(_place(event))

    def _joined(self, frame: Frame) -> Frame:
        event = {**frame.event, "sequence_number": self._number}
        if "output_index" in event:
            event["output_index"] += len(self._before)
        if frame.type in TERMINAL:
            own = event["response"]
            event["response"] = {
                **own,
                "id": self.response_id,
                "created_at": self._begun.get("created_at"),
                "previous_response_id": self._begun.get("previous_response_id"),
                "output": [*self._before, *(own.get("output") or ())],
            }
        self._note(event)
        return Frame(frame.type, event=event)

    def _closing(self) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []

        def tell(kind: str, **fields: Any) -> None:
            event = {"type": kind, "sequence_number": self._number, **fields}
            events.append(event)
            self._note(event)

        for index, field, number in sorted(self._parts):
            item = self._fold.response["output"][index]
            part = item[field][number]
            name = "summary_index" if field == "summary" else "content_index"
            place = {"item_id": item["id"], "output_index": index, name: number}
            done: dict[str, Any] = {"text": part.get("text", "")}
            if part["type"] == "output_text":
                done["logprobs"] = part.get("logprobs") or []
            tell(f"response.{_TEXTS[part['type']]}.done", **place, **done)
            brackets = "reasoning_summary_part" if field == "summary" else "content_part"
            tell(f"response.{brackets}.done", **place, part=dict(part))
        for index in list(self._open):
            # "incomplete" is for the last item of a response only (Open Responses, item life cycle).
            item = {**self._fold.response["output"][index], "status": "completed"}
            tell("response.output_item.done", output_index=index, item=item)
        return events


_TEXTS = {"output_text": "output_text", "reasoning_text": "reasoning_text", "summary_text": "reasoning_summary_text"}


def _is_text(item: Item) -> bool:
    if item.get("type") != "message":
        return False
    return all(part.get("type") == "output_text" for part in item.get("content") or ())


def _place(event: dict[str, Any]) -> tuple[int, str, int]:
    if "summary_index" in event:
        return event["output_index"], "summary", event["summary_index"]
    return event["output_index"], "content", event["content_index"]
