"""What is wrong with a configuration: everything is collected and told at once, each with its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from tollbook.errors import ConfigError

Steps = tuple[str | int, ...]
"""The way to a value: ("model_list", 0, "litellm_params", "model")."""


class Wrong(Exception):
    """One value that cannot be used. The message never repeats a value, for it may be a secret."""


def path(steps: Steps) -> str:
    """("model_list", 0, "model_name") -> "model_list[0].model_name"."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")


def suggestion(given: str, known: Iterable[str]) -> str:
    """` Did you mean "model_name"?`, or nothing when no known name is close."""
    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(given.lower()[:200], by_lower, n=1, cutoff=0.7)
    return f' Did you mean "{by_lower[near[0]]}"?' if near else ""


@dataclass(slots=True)
class Problems:
    """Collects problems and warnings of one source."""

    file: str = ""
    """As the user named it; "" for a configuration that came from Python."""
    lines: Mapping[Steps, int] = field(default_factory=dict)
    _found: list[tuple[int, str]] = field(default_factory=list)
    _warned: list[tuple[int, str]] = field(default_factory=list)

    def add(self, steps: Steps, message: str, *, line: int | None = None) -> None:
        """Something that stops the start."""
        self._found.append(self._told(steps, message, line))

    def warn(self, steps: Steps, message: str) -> None:
        """Something that was understood and will not be used."""
        self._warned.append(self._told(steps, message, None))

    @property
    def warnings(self) -> tuple[str, ...]:
        """In the order of the file."""
        return tuple(text for _, text in sorted(self._warned, key=lambda told: told[0]))

    def check(self) -> None:
        """Raises ConfigError with everything that was added, in the order of the file."""
        found = [text for _, text in sorted(self._found, key=lambda told: told[0])]
        if len(found) == 1:
            raise ConfigError(found[0])
        if found:
            raise ConfigError("\n  ".join([f"{self.file or 'the configuration'} has {len(found)} problems:", *found]))

    def _told(self, steps: Steps, message: str, line: int | None) -> tuple[int, str]:
        line = line or self._line(steps)
        place = f"{self.file}:{line}" if self.file and line else self.file
        return line, ": ".join(part for part in (place, path(steps), message) if part)

    def _line(self, steps: Steps) -> int:
        for end in range(len(steps), -1, -1):
            if steps[:end] in self.lines:
                return self.lines[steps[:end]]
        return 0
