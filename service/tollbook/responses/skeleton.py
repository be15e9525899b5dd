"""A Response before anything was said: what the client asked for, and the defaults of the API."""

from __future__ import annotations

from typing import Any

from .types import Request, Response


def skeleton(request: Request, response_id: str, model: str, created_at: float) -> Response:
    """A Response with every field that the Open Responses schema requires, the request's parameters echoed."""

    def given(name: str, default: Any) -> Any:
        value = request.get(name)
        return default if value is None else value

    reasoning = request.get("reasoning")
    text = {"format": {"type": "text"}, **(request.get("text") or {})}
    response: Response = {
        "id": response_id,
        "object": "response",
        "created_at": int(created_at),
        "completed_at": None,
        "status": "in_progress",
        "background": bool(request.get("background")),
        "error": None,
        "incomplete_details": None,
        "instructions": request.get("instructions"),
        "max_output_tokens": request.get("max_output_tokens"),
        "max_tool_calls": request.get("max_tool_calls"),
        "model": model or given("model", ""),
        "output": [],
        "parallel_tool_calls": given("parallel_tool_calls", True),
        "previous_response_id": request.get("previous_response_id"),
        "prompt_cache_key": request.get("prompt_cache_key"),
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")}
        if isinstance(reasoning, dict)
        else None,
        "safety_identifier": request.get("safety_identifier"),
        "service_tier": given("service_tier", "default") if request.get("service_tier") != "auto" else "default",
        "store": given("store", True),
        "temperature": given("temperature", 1.0),
        "text": text,
        "tool_choice": given("tool_choice", "auto"),
        "tools": [_echo(tool) for tool in request.get("tools") or ()],
        "top_logprobs": given("top_logprobs", 0),
        "top_p": given("top_p", 1.0),
        "presence_penalty": given("presence_penalty", 0.0),
        "frequency_penalty": given("frequency_penalty", 0.0),
        "truncation": given("truncation", "disabled"),
        "usage": None,
        "metadata": given("metadata", {}),
    }
    if request.get("user") is not None:
        response["user"] = request["user"]
    return response


def _echo(tool: dict[str, Any]) -> dict[str, Any]:
    if tool.get("type") == "function":
        return {"description": None, "parameters": None, "strict": None, **tool}
    return tool
