"""config.yaml -> frozen types.

types.py        what a configuration is
source.py       YAML text -> plain values that remember their lines
reading.py      values -> checked values; os.environ/NAME
problems.py     everything that is wrong, each with its place
schema.py       the keys, as data
foreign.py      keys of a LiteLLM file that are understood and not used
deployments.py  model_list -> deployments and routes
prices.py       the words of a price list, and which values can be meant
price_list.py   an entry of the operator's own price list
own_prices.py   prices -> the operator's own price list
environment.py  the models that the environment alone offers
load.py         all of it together
"""

from __future__ import annotations

from .load import config_from, default_config, load_config
from .price_list import PriceEntry, Terms
from .types import (
    Config,
    Deployment,
    GeneralSettings,
    Route,
    RouterSettings,
    TelemetrySettings,
    Timeouts,
)

__all__ = [
    "Config",
    "Deployment",
    "GeneralSettings",
    "PriceEntry",
    "Route",
    "RouterSettings",
    "TelemetrySettings",
    "Terms",
    "Timeouts",
    "config_from",
    "default_config",
    "load_config",
]
