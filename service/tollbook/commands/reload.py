"""tollbook reload: let the running gateway read its configuration again."""

from __future__ import annotations

import os
import signal
from argparse import ArgumentParser, Namespace

from .configured import config_argument, configured, data_dir_argument
from .terminal import complain, note

HELP = "let the running gateway read its configuration again, without dropping a stream"


def arguments(parser: ArgumentParser) -> None:
    config_argument(parser)
    data_dir_argument(parser)


def run(args: Namespace) -> int:
    """With `--config` the file is checked first, so that its mistakes are told here; the gateway reads the file that it was
    started with either way."""
    from tollbook.server.presence import find

    config = configured(args)
    if args.config:
        from .places import places, problems

        if found := problems(places(config, os.environ)):
            complain("\n  ".join(["these models cannot be served:", *found]))
            return 1
    process = find(config.data_dir)
    if process is None:
        complain(f"no gateway runs on {config.data_dir}")
        return 1
    os.kill(process, signal.SIGHUP)
    note(f"asked process {process}; its log says how it went")
    return 0
