"""The options that say which configuration and which books a command works on."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tollbook.config import Config


def config_argument(parser: ArgumentParser) -> None:
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        help="the configuration, in YAML; without one, every provider with credentials in the environment is served",
    )


def data_dir_argument(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        type=Path,
        help="where the books are kept (default: $TOLLBOOK_DATA_DIR, else ./tollbook-data)",
    )


def configured(args: Namespace) -> Config:
    """The configuration that the options name. Raises ConfigError."""
    from tollbook.config import default_config, load_config

    config = load_config(args.config, os.environ) if args.config else default_config(os.environ)
    data_dir: Path | None = getattr(args, "data_dir", None)
    return replace(config, data_dir=data_dir) if data_dir else config
