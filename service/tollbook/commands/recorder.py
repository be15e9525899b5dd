"""tollbook recorder: owns the tables for a gateway with several workers, which starts it itself."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from .configured import config_argument, configured, data_dir_argument

HELP = ""


def arguments(parser: ArgumentParser) -> None:
    config_argument(parser)
    data_dir_argument(parser)


def run(args: Namespace) -> int:
    from tollbook.storage import serve_recorder

    config = configured(args)
    serve_recorder(config.data_dir, retention_days=config.general.retention_days)
    return 0
