"""tollbook doctor: is everything in order? Configuration, data directory, prices, and whether telemetry arrives.

It sends one test span, one test metric and one test log record to where the OTEL_* variables say, and nothing else.
"""

from __future__ import annotations

import os
import shutil
import stat
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from tollbook.errors import ConfigError

from .configured import config_argument, configured, data_dir_argument
from .terminal import printable, say

if TYPE_CHECKING:
    from tollbook.config import Config
    from tollbook.telemetry.probe import Probe

HELP = "check configuration, data directory and prices, and send a test span, metric and log record"

_LITTLE_SPACE = 1024**3
"""Bytes on the disk below which there is a warning."""

_MARKS = {True: "ok   ", False: "WRONG", None: "note "}


def arguments(parser: ArgumentParser) -> None:
    config_argument(parser)
    data_dir_argument(parser)
    parser.add_argument("--offline", action="store_true", help="send nothing")


def run(args: Namespace) -> int:
    try:
        config = configured(args)
    except ConfigError as wrong:
        _tell("config", False, wrong.message)
        return 1
    fine = [_configuration(config), _books(config.data_dir), _prices(config), _telemetry(config, offline=args.offline)]
    say("\nAll right." if all(fine) else "\nSomething is wrong; see above.")
    return 0 if all(fine) else 1


def _tell(what: str, fine: bool | None, words: str) -> None:
    say(f"{_MARKS[fine]}  {what:<10}  {printable(words)}")


def _configuration(config: Config) -> bool:
    from .places import places, problems

    found = places(config, os.environ)
    wrong = problems(found)
    _tell("config", True, f"{config.source or 'no file, models from the environment'}: {len(found)} deployments")
    for problem in wrong:
        _tell("config", False, problem)
    for warning in config.warnings:
        _tell("config", None, f"ignored: {warning}")
    if config.general.master_key is None:
        _tell("config", None, "no master key: only this machine's own programs are served")
    return not wrong


def _books(directory: Path) -> bool:
    """The data directory: there or possible, ours, with room. A gateway that runs is no mistake."""
    from tollbook.server.presence import find

    there = next(each for each in (directory, *directory.absolute().parents) if each.exists())
    if not there.is_dir():
        _tell("books", False, f"{directory}: {there} is no directory")
        return False
    if not os.access(there, os.W_OK | os.X_OK):
        _tell("books", False, f"{directory}: {there} cannot be written")
        return False
    if directory.exists() and stat.S_IMODE(directory.stat().st_mode) & 0o077:
        _tell("books", None, f"{directory} can be read by others; chmod 700 keeps it private")
    free = shutil.disk_usage(there).free
    running = find(directory) if directory.exists() else None
    state = f"a gateway runs on it (process {running})" if running else "no gateway runs on it"
    _tell("books", True, f"{directory}: {'there' if directory.exists() else 'will be made'}, {state}")
    if free < _LITTLE_SPACE:
        _tell("books", None, f"only {free / 1024**2:.0f} MB are left on its disk")
    return True


def _prices(config: Config) -> bool:
    from tollbook.pricing import PriceBook

    book = PriceBook()
    unpriced, mistakes = [], []
    for deployment in config.deployments.values():
        if "*" in deployment.provider + deployment.model:
            continue
        try:
            if book.rates(deployment.provider, deployment.model, deployment) is None:
                unpriced.append(deployment.name)
        except ConfigError as wrong:
            mistakes.append(wrong.message)
    _tell("prices", True, f"catalogue {book.version}")
    for name in unpriced:
        _tell("prices", None, f"{name} has no price: its calls are booked without a cost")
    for mistake in mistakes:
        _tell("prices", False, mistake)
    return not mistakes


def _telemetry(config: Config, *, offline: bool) -> bool:
    from tollbook.telemetry import probe

    try:
        found = probe.effective(config.telemetry, os.environ)
    except ConfigError as wrong:
        _tell("telemetry", False, wrong.message)
        return False
    if found.disabled:
        _tell("telemetry", None, "off: OTEL_SDK_DISABLED is true")
        return True
    if found.file:
        _tell("telemetry", None, f"as {found.file} says; no test is sent")
        return True
    _tell("telemetry", None, f"content: {found.capture}; access log: {'on' if found.access_log else 'off'}")
    if not found.targets:
        _tell("telemetry", None, "sent nowhere: set OTEL_EXPORTER_OTLP_ENDPOINT to send it")
        return True
    for signal, target in found.targets.items():
        told = ", ".join(f"{name} {value}" for name, value in target.shown.items())
        _tell(signal, None, told)
    if offline:
        return True
    probes = [each for each in probe.run(config.telemetry, os.environ) if each.answer is not None]
    for each in probes:
        _tell(each.signal, each.fine, _outcome(each))
    return all(each.fine for each in probes)


def _outcome(each: Probe) -> str:
    assert each.answer is not None
    trace = f", trace {each.trace_id}" if each.trace_id and each.fine else ""
    words = {"taken": "arrived", "later": "did not arrive", "refused": "was refused", "closed": "was refused"}
    return f"the test {words[each.answer.state]}: {each.answer.said} ({each.milliseconds:.0f} ms{trace})"
