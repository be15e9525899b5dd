"""Tools and the choice among them -> `tools` and `toolConfig`.

https://ai.google.dev/api/caching#Tool
"""

from __future__ import annotations

from typing import Any

from tollbook.responses import tools
from tollbook.responses.types import Request

from . import generations

# Tools of Gemini itself that Responses has no type for; a client may name them in either spelling.
_NATIVE = {
    "google_search": "googleSearch",
    "code_execution": "codeExecution",
    "url_context": "urlContext",
    "google_maps": "googleMaps",
    "enterprise_web_search": "enterpriseWebSearch",
}
_NATIVE |= {name: name for name in _NATIVE.values()}
_STORE = "fileSearchStores/"


class Toolbox:
    """`tools` and `config` for a request. `unsupported` and `notes` as in the history."""

    def __init__(self, request: Request, model: str) -> None:
        self.tools: list[dict[str, Any]] = []
        self.config: dict[str, Any] = {}
        self.unsupported: list[str] = []
        self.notes: list[str] = []
        self.makes_images = False

        self._model = model
        permitted = tools.allowed(request)
        strict = False
        declarations = []
        for function, _ in tools.functions(request):
            if permitted is not None and function.name not in permitted and generations.version(model) < (2, 5):
                continue
            strict = strict or function.strict is True
            declarations.append(_declaration(function))
        if strict and generations.version(model) < (2, 5):
            self.notes.append("tools.strict: dropped")
        if declarations:
            self.tools.append({"functionDeclarations": declarations})
            self._choose(request, permitted, strict)
        elif _forced(request.get("tool_choice")):
            self.notes.append("tool_choice: dropped")
        for index, tool in tools.hosted(request):
            self._hosted(tool, f"tools[{index}]")
        if request.get("parallel_tool_calls") is False:
            self.notes.append("parallel_tool_calls: dropped")

    @property
    def has_hosted(self) -> bool:
        return any("functionDeclarations" not in tool for tool in self.tools)

    def _choose(self, request: Request, permitted: set[str] | None, strict: bool) -> None:
        """VALIDATED keeps arguments to the schema without forcing a call; names can only be limited with it or ANY."""
        choice = request.get("tool_choice")
        kind = choice.get("type") if isinstance(choice, dict) else choice
        validated = generations.version(self._model) >= (2, 5)
        config: dict[str, Any] = {}
        if kind == "none":
            config["mode"] = "NONE"
        elif kind == "required":
            config["mode"] = "ANY"
        elif kind in ("function", "custom") and isinstance(choice, dict):
            name = tools.flat_name(str(choice.get("name") or ""), choice.get("namespace"))
            config = {"mode": "ANY", "allowedFunctionNames": [name]}
        elif kind == "allowed_tools" and isinstance(choice, dict):
            config["mode"] = "ANY" if choice.get("mode") == "required" else "VALIDATED" if validated else "AUTO"
            if config["mode"] != "AUTO" and permitted:
                config["allowedFunctionNames"] = [f.name for f, _ in tools.functions(request) if f.name in permitted]
        else:
            if kind not in (None, "auto"):
                self.notes.append(f"tool_choice={kind}: adapted (auto)")
            if strict and validated:
                config["mode"] = "VALIDATED"
        if config:
            self.config["functionCallingConfig"] = config

    def _hosted(self, tool: dict[str, Any], where: str) -> None:
        kind = str(tool.get("type"))
        if kind.startswith("web_search"):
            self._search(tool, where)
        elif kind == "code_interpreter":
            container = tool.get("container")
            if isinstance(container, str) or (isinstance(container, dict) and container.get("file_ids")):
                self.unsupported.append(f"{where}.container")
            settings = container if isinstance(container, dict) else {}
            self.notes += [f"{where}.container.{n}: dropped" for n in sorted(settings.keys() - {"type", "file_ids"})]
            self.tools.append({"codeExecution": {}})
        elif kind == "file_search":
            self._files(tool, where)
        elif kind == "image_generation" and "image" in self._model:
            # A model that draws does so without a tool; its settings have no equivalent.
            self.makes_images = True
            self.notes += [f"{where}.{name}: dropped" for name in tool if name != "type"]
        elif kind in _NATIVE:
            self.tools.append({_NATIVE[kind]: {name: value for name, value in tool.items() if name != "type"}})
        else:
            self.unsupported.append(f"{where}.type={kind}")

    def _search(self, tool: dict[str, Any], where: str) -> None:
        settings: dict[str, Any] = {}
        filters = tool.get("filters") or {}
        if filters.get("allowed_domains"):
            self.unsupported.append(f"{where}.filters.allowed_domains")
        if filters.get("blocked_domains"):
            settings["excludeDomains"] = filters["blocked_domains"]
        beyond = tool.keys() - {"type", "filters"}
        self.notes += [f"{where}.{name}: dropped" for name in sorted(beyond) if tool[name] is not None]
        self.tools.append({"googleSearch": settings})

    def _files(self, tool: dict[str, Any], where: str) -> None:
        stores = tool.get("vector_store_ids") or []
        if not stores or not all(isinstance(store, str) and store.startswith(_STORE) for store in stores):
            self.unsupported.append(f"{where}.vector_store_ids")
            return
        settings: dict[str, Any] = {"fileSearchStoreNames": stores}
        if tool.get("max_num_results"):
            settings["topK"] = tool["max_num_results"]
        if isinstance(tool.get("filters"), str):
            settings["metadataFilter"] = tool["filters"]
        elif tool.get("filters"):
            self.unsupported.append(f"{where}.filters")
        if tool.get("ranking_options"):
            self.notes.append(f"{where}.ranking_options: dropped")
        self.tools.append({"fileSearch": settings})


def _declaration(function: tools.Function) -> dict[str, Any]:
    """`parametersJsonSchema` takes the client's schema as it is; `parameters` is a small subset of OpenAPI 3.0."""
    declaration: dict[str, Any] = {"name": function.name, "parametersJsonSchema": function.parameters}
    if function.description:
        declaration["description"] = function.description
    return declaration


def _forced(choice: Any) -> bool:
    return isinstance(choice, dict) or choice == "required"
