"""YAML text -> plain values, and the line of each.

A subset on purpose: what JSON can say, plus anchors and merge keys. Dates stay the text they are
(`api_version: 2024-06-01`), `1e-6` is a number (YAML 1.1 reads it as text), `22:30` is not (YAML 1.1 reads it as 1350),
keys are always text. Tags are refused, so nothing in a file can make an object. Bounds on size, depth and expanded
aliases keep a hostile file harmless.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tollbook.errors import ConfigError

from .problems import Problems, Steps, Wrong

if TYPE_CHECKING:
    from yaml import MappingNode, Node, ScalarNode

MAX_BYTES = 1024 * 1024
MAX_NODES = 100_000
MAX_DEPTH = 50

_TAG = "tag:yaml.org,2002:"
_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d{1,4}")


def read_text(file: Path) -> str:
    """The text of a configuration file. Raises ConfigError when there is none that could be one."""
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from error
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{file}: larger than {MAX_BYTES // 1024} KiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{file}:{line}: not UTF-8") from error


def parse(text: str, file: str) -> tuple[Any, Problems]:
    """The values of a YAML text, with a collector that knows their lines and already holds what is wrong with the YAML.

    Raises ConfigError for text that is no YAML, or more of it than any configuration needs.
    """
    import yaml

    if len(text) > MAX_BYTES:
        raise ConfigError(f"{file}: larger than {MAX_BYTES // 1024} KiB")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{file}:{mark.line + 1}" if mark else file
        raise ConfigError(f"{place}: not YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: not YAML: it holds characters that YAML does not allow") from error
    except RecursionError as error:
        raise ConfigError(f"{file}: nested too deeply") from error
    except (ValueError, IndexError) as error:
        # PyYAML lets int() and chr() of a malformed %YAML directive or \U escape through.
        raise ConfigError(f"{file}: not YAML: a malformed directive or escape") from error
    lines: dict[Steps, int] = {}
    problems = Problems(file, lines)
    value = _Reading(problems, lines).value(root, ()) if root is not None else None
    return value, problems


class _Reading:
    """One walk over the nodes of a file."""

    def __init__(self, problems: Problems, lines: dict[Steps, int]) -> None:
        self._problems = problems
        self._lines = lines
        self._nodes = 0

    def value(self, node: Node, steps: Steps) -> Any:
        import yaml

        self._nodes += 1
        line = node.start_mark.line + 1
        # Aliases are walked each time they are used: the count sees a "billion laughs", the depth an alias to itself.
        if self._nodes > MAX_NODES:
            raise ConfigError(f"{self._problems.file}:{line}: more than {MAX_NODES} values, aliases included")
        if len(steps) > MAX_DEPTH:
            raise ConfigError(f"{self._problems.file}:{line}: nested more than {MAX_DEPTH} deep")
        self._lines.setdefault(steps, line)
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, steps)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self.value(item, (*steps, index)) for index, item in enumerate(node.value)]
        try:
            if isinstance(node, yaml.ScalarNode):
                return _scalar(node)
            raise Wrong("tags are not allowed")
        except Wrong as wrong:
            self._problems.add(steps, str(wrong), line=line)
            return None

    def _mapping(self, node: MappingNode, steps: Steps) -> dict[str, Any]:
        import yaml

        found: dict[str, Any] = {}
        first: dict[str, int] = {}
        merged: list[Node] = []
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == _TAG + "merge":
                merged.append(value_node)
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._problems.add(steps, "a key must be a plain word", line=line)
                continue
            key = str(key_node.value)
            if key in first:
                self._problems.add(
                    (*steps, key), f"written twice in the same place, first in line {first[key]}", line=line
                )
                continue
            first[key] = line
            self._lines[(*steps, key)] = line
            found[key] = self.value(value_node, (*steps, key))
        for source in merged:
            self._merge(found, source, steps)
        return found

    def _merge(self, found: dict[str, Any], source: Node, steps: Steps) -> None:
        """`<<: *anchor`, or a list of them: what the mapping does not say itself (https://yaml.org/type/merge.html)."""
        import yaml

        parts = source.value if isinstance(source, yaml.SequenceNode) else [source]
        for part in parts:
            if not isinstance(part, yaml.MappingNode):
                self._problems.add((*steps, "<<"), "only a mapping can be merged", line=source.start_mark.line + 1)
                continue
            # One step deeper, so that an anchor that merges itself ends at the depth limit.
            base = self.value(part, (*steps, "<<"))
            for key, value in base.items() if isinstance(base, dict) else ():
                if key not in found:
                    found[key] = value
                    self._carry((*steps, "<<", key), (*steps, key))

    def _carry(self, old: Steps, new: Steps) -> None:
        """The lines of a merged value, told under the path where it is used."""
        if old in self._lines:
            self._lines.setdefault(new, self._lines[old])


def _scalar(node: ScalarNode) -> Any:
    text = str(node.value)
    match node.tag.removeprefix(_TAG):
        case "str":
            return float(text) if node.style is None and _EXPONENT.fullmatch(text) else text
        case "timestamp" | "value":
            return text
        case "null":
            return None
        case "bool":
            return text.lower() in ("yes", "true", "on")
        case "int" | "float" if ":" in text:
            return text
        case "int" | "float" as kind:
            return _number(text, kind)
        case _:
            raise Wrong("tags are not allowed")


def _number(text: str, kind: str) -> int | float:
    """Numbers as YAML 1.1 writes them: 1_000, 0x1f, 0b1, 017 (octal), .5, -.inf (https://yaml.org/type/int.html)."""
    digits = text.replace("_", "").lower()
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    try:
        if kind == "float":
            return sign * float(digits.replace(".inf", "inf").replace(".nan", "nan"))
        if digits.startswith(("0x", "0b")):
            return sign * int(digits, 0)
        return sign * int(digits, 8 if len(digits) > 1 and digits.startswith("0") else 10)
    except ValueError as error:
        raise Wrong("not a number that can be used; put it in quotes if it is text") from error
