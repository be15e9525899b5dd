"""Tools, tool choice, MCP servers.

Functions become tools with an input schema; OpenAI's hosted tools become Anthropic's server tools where there is one of
the kind; Anthropic's own tools, known by the date in their type, pass as the client wrote them.
https://platform.claude.com/docs/en/agents-and-tools/tool-use/tool-reference
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from tollbook.dialects import unsaid
from tollbook.errors import InvalidRequest
from tollbook.responses.tools import allowed, flat_name, functions
from tollbook.responses.types import Request

from .claude import Claude
from .remarks import Remarks
from .schema import closed
from .shape import mapping, mappings, string

_OWN = re.compile(r"[a-z_0-9]+_\d{8}")

# Beta flags that dated tools need (tool reference, column "status").
_BETAS = {
    "computer_20241022": "computer-use-2024-10-22",
    "bash_20241022": "computer-use-2024-10-22",
    "text_editor_20241022": "computer-use-2024-10-22",
    "computer_20250124": "computer-use-2025-01-24",
    "computer_20251124": "computer-use-2025-11-24",
    "code_execution_20250522": "code-execution-2025-05-22",
    "code_execution_20250825": "code-execution-2025-08-25",
    "memory_20250818": "context-management-2025-06-27",
    "advisor_20260301": "advisor-tool-2026-03-01",
}
_MCP_BETA = "mcp-client-2025-11-20"

_WEB_SEARCH = "web_search_20250305"
_WEB_FETCH = "web_fetch_20250910"
_CODE_EXECUTION = "code_execution_20250825"

# Searches allowed, for OpenAI's amount of context from searches.
_MAX_USES = {"low": 2, "medium": 5, "high": 10}

MOST_STRICT = 20
"""Strict tools in one request; more are refused."""

# Members of a function tool that only Anthropic knows.
_EXTRAS = ("cache_control", "defer_loading", "eager_input_streaming", "input_examples", "allowed_callers")


@dataclass(slots=True)
class Toolbox:
    """What a request may call."""

    tools: list[dict[str, Any]] = field(default_factory=list)
    choice: dict[str, Any] | None = None
    mcp_servers: list[dict[str, Any]] = field(default_factory=list)
    container: str | None = None

    @property
    def forced(self) -> bool:
        """Whether the model must call a tool."""
        return self.choice is not None and self.choice["type"] in ("any", "tool")


def toolbox(request: Request, model: Claude, remarks: Remarks) -> Toolbox:
    """The tools of the request, filtered by `allowed_tools`, and the choice among them."""
    box = Toolbox()
    names = allowed(request)
    choice = request.get("tool_choice")
    kinds = None if names is None else {string(t.get("type")) for t in mappings(mapping(choice).get("tools"))}
    for index, tool in enumerate(request.get("tools") or ()):
        kind = string(tool.get("type"))
        if kind in ("function", "custom", "namespace"):
            _functions(tool, f"tools[{index}]", box, names=names, model=model, remarks=remarks)
        elif kinds is None or kind in kinds:
            _hosted(tool, f"tools[{index}]", box, remarks)
    remarks.note(*unsaid.members(request, _EXTRAS))
    strict = [tool for tool in box.tools if tool.get("strict")]
    if len(strict) > MOST_STRICT:
        remarks.dropped("tools.strict", f"more than {MOST_STRICT} strict tools")
        for tool in strict:
            del tool["strict"]
    box.choice = _choice(request, box, model, remarks)
    return box


def _functions(
    tool: dict[str, Any], where: str, box: Toolbox, *, names: set[str] | None, model: Claude, remarks: Remarks
) -> None:
    for function, _ in functions({"tools": [tool]}):
        if names is not None and function.name not in names:
            continue
        schema = function.parameters
        if not isinstance(schema, dict):
            raise InvalidRequest(
                f"'{where}.parameters' must be a JSON schema of an object.", param=f"{where}.parameters"
            )
        written: dict[str, Any] = {"name": function.name}
        if function.description:
            written["description"] = function.description
        if function.strict and model.schemas:
            changed: set[str] = set()
            schema = closed(schema, changed)
            written["strict"] = True
            if changed:
                remarks.adapted(f"{where}.parameters", ", ".join(sorted(changed)))
        elif function.strict:
            remarks.dropped(f"{where}.strict", "not on this model")
        written["input_schema"] = schema if "type" in schema else {"type": "object", **schema}
        written.update({extra: tool[extra] for extra in _EXTRAS if tool.get(extra) is not None})
        box.tools.append(written)


def _hosted(tool: dict[str, Any], where: str, box: Toolbox, remarks: Remarks) -> None:
    kind = string(tool.get("type"))
    if _OWN.fullmatch(kind) or kind == "mcp_toolset":
        flag = _MCP_BETA if kind == "mcp_toolset" else _BETAS.get(kind)
        if flag:
            remarks.beta(flag)
        box.tools.append(dict(tool))
    elif kind.startswith("web_search"):
        box.tools.append(_web_search(tool, where, remarks))
    elif kind == "web_fetch":
        box.tools.append({**tool, "type": _WEB_FETCH, "name": "web_fetch"})
    elif kind == "code_interpreter":
        box.tools.append(_code(tool, where, box, remarks))
    elif kind == "mcp":
        _mcp(tool, where, box, remarks)
    else:
        remarks.unsupported(f"{where}.type={kind}")


def _web_search(tool: dict[str, Any], where: str, remarks: Remarks) -> dict[str, Any]:
    """https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool"""
    written: dict[str, Any] = {"type": _WEB_SEARCH, "name": "web_search"}
    location = mapping(tool.get("user_location"))
    known = {k: location[k] for k in ("city", "region", "country", "timezone") if location.get(k)}
    if known:
        written["user_location"] = {"type": "approximate", **known}
    filters = mapping(tool.get("filters"))
    for name in ("allowed_domains", "blocked_domains"):
        domains = filters.get(name) or tool.get(name)
        if domains:
            written[name] = domains
    if isinstance(tool.get("max_uses"), int):
        written["max_uses"] = tool["max_uses"]
    elif (most := _MAX_USES.get(str(tool.get("search_context_size")))) is not None:
        written["max_uses"] = most
        remarks.adapted(f"{where}.search_context_size", f"max_uses {most}")
    if isinstance(tool.get("cache_control"), dict):
        written["cache_control"] = tool["cache_control"]
    for name in ("external_web_access", "return_token_budget", "search_content_types"):
        if tool.get(name) is not None:
            remarks.dropped(f"{where}.{name}")
    return written


def _code(tool: dict[str, Any], where: str, box: Toolbox, remarks: Remarks) -> dict[str, Any]:
    """https://platform.claude.com/docs/en/agents-and-tools/tool-use/code-execution-tool"""
    container = tool.get("container")
    if isinstance(container, str):
        if container.startswith("container_"):
            box.container = container
        else:
            remarks.dropped(f"{where}.container", "not a container of Anthropic")
    elif isinstance(container, dict):
        if container.get("file_ids"):
            remarks.unsupported(f"{where}.container.file_ids")
        for name in ("memory_limit", "network_policy"):
            if container.get(name) is not None:
                remarks.dropped(f"{where}.container.{name}")
    remarks.beta(_BETAS[_CODE_EXECUTION])
    return {"type": _CODE_EXECUTION, "name": "code_execution"}


def _mcp(tool: dict[str, Any], where: str, box: Toolbox, remarks: Remarks) -> None:
    """https://platform.claude.com/docs/en/agents-and-tools/mcp-connector"""
    label, url = tool.get("server_label"), tool.get("server_url")
    if not url:
        remarks.unsupported(f"{where}.connector_id" if tool.get("connector_id") else f"{where}.server_url")
        return
    approval = tool.get("require_approval")
    if approval is None:
        remarks.adapted(f"{where}.require_approval", "never: there is nobody to ask")
    elif approval != "never":
        # Running what the client wants to approve first would be worse than refusing.
        remarks.unsupported(f"{where}.require_approval")
        return
    server: dict[str, Any] = {"type": "url", "url": url, "name": label}
    token = tool.get("authorization")
    for name, value in mapping(tool.get("headers")).items():
        if name.lower() == "authorization" and not token:
            token = str(value).removeprefix("Bearer ")
        elif name.lower() != "authorization":
            remarks.dropped(f"{where}.headers.{name}")
    if token:
        server["authorization_token"] = token
    toolset: dict[str, Any] = {"type": "mcp_toolset", "mcp_server_name": label}
    names = tool.get("allowed_tools")
    if isinstance(names, dict):
        names = names.get("tool_names")
    if isinstance(names, list):
        toolset["default_config"] = {"enabled": False}
        toolset["configs"] = {str(name): {"enabled": True} for name in names}
    for member in ("server_description", "defer_loading"):
        if tool.get(member):
            remarks.dropped(f"{where}.{member}")
    remarks.beta(_MCP_BETA)
    box.mcp_servers.append(server)
    box.tools.append(toolset)


def _choice(request: Request, box: Toolbox, model: Claude, remarks: Remarks) -> dict[str, Any] | None:
    """https://platform.claude.com/docs/en/agents-and-tools/tool-use/define-tools#controlling-claudes-output"""
    if not box.tools:
        return None
    wanted = request.get("tool_choice")
    choice: dict[str, Any] = {"type": "auto"}
    if isinstance(wanted, str):
        choice = {"type": {"none": "none", "required": "any", "any": "any"}.get(wanted, "auto")}
    elif isinstance(wanted, dict):
        kind = wanted.get("type")
        if kind in ("function", "custom", "tool"):
            choice = {"type": "tool", "name": flat_name(string(wanted.get("name")), string(wanted.get("namespace")))}
        elif kind == "allowed_tools":
            remarks.adapted("tool_choice", "only the allowed tools are sent")
            choice = {"type": "any" if wanted.get("mode") == "required" else "auto"}
        elif kind in ("auto", "any", "none"):
            choice = {"type": kind}
        elif (name := _hosted_name(string(kind), box)) is not None:
            choice = {"type": "tool", "name": name}
        else:
            remarks.unsupported(f"tool_choice.type={kind}")
    if choice["type"] in ("any", "tool") and not model.forced_tools:
        remarks.adapted("tool_choice", "auto: this model cannot be forced")
        choice = {"type": "auto"}
    if request.get("parallel_tool_calls") is False and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = True
    return None if wanted is None and choice == {"type": "auto"} else choice


def _hosted_name(kind: str, box: Toolbox) -> str | None:
    """The name of the server tool that stands for this hosted type, if it is in the box."""
    name = "web_search" if kind.startswith("web_search") else {"code_interpreter": "code_execution"}.get(kind, kind)
    return name if any(tool.get("name") == name for tool in box.tools) else None
