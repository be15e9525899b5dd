"""All of it together: a file, a mapping or the environment -> a `Config`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tollbook.errors import ConfigError

from . import environment as env
from . import foreign, schema
from .budgets import Budget, Limit
from .deployments import Inherited, deployments, routes
from .own_prices import price_entries
from .problems import Problems, Steps, Wrong, suggestion
from .reading import Value, section
from .source import parse, read_text
from .types import DEFAULT_DATA_DIR, Config, GeneralSettings, RouterSettings, TelemetrySettings

MASTER_KEY = "TOLLBOOK_MASTER_KEY"
DATA_DIR = "TOLLBOOK_DATA_DIR"

_FALLBACKS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")


def load_config(path: str | Path, environment: Mapping[str, str]) -> Config:
    """Reads a YAML file. Raises ConfigError with every problem, each as `file:line: path: message`.

    A file without `model_list` serves what the environment offers, as no file does.
    """
    file = Path(path)
    value, problems = parse(read_text(file), str(path))
    return _config({} if value is None else value, problems, environment, file)


def config_from(mapping: Mapping[str, Any], environment: Mapping[str, str]) -> Config:
    """The same from Python values in the file's shape. Raises ConfigError with every problem, each as `path: message`."""
    return _config(mapping, Problems(), environment, None)


def default_config(environment: Mapping[str, str]) -> Config:
    """Without any file: a wildcard for each provider that has credentials in the environment, and `simulated/*`."""
    return config_from({}, environment)


def _config(raw: Any, problems: Problems, environment: Mapping[str, str], source: Path | None) -> Config:
    try:
        config = _read(Value(raw, (), problems, environment), environment, source)
    except RecursionError as error:
        raise ConfigError(f"{source or 'the configuration'}: nested too deeply, or inside itself") from error
    problems.check()
    return config


def _read(top: Value, environment: Mapping[str, str], source: Path | None) -> Config:
    problems = top.problems
    said = section(top, schema.TOP, foreign=foreign.TOP)

    def settings(
        name: str, keys: schema.Keys, not_used: Mapping[str, str], synonyms: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        return section(said[name], keys, synonyms=synonyms, foreign=not_used) if name in said else {}

    litellm = settings("litellm_settings", schema.LITELLM, foreign.LITELLM)
    general = settings("general_settings", schema.GENERAL, foreign.GENERAL, schema.GENERAL_SYNONYMS)
    router = _router(settings("router_settings", schema.ROUTER, foreign.ROUTER), litellm)
    drop_params = general.get("drop_params", litellm.get("drop_params", False))
    inherited = Inherited(
        timeout=router.timeout,
        stream_timeout=router.stream_timeout,
        drop_params=drop_params,
        propagate_trace=litellm.get("forward_traceparent_to_llm_provider", False),
        hedge_after=router.hedge_after,
        on_disconnect=router.on_disconnect,
    )
    if "model_list" in said:
        entries = said["model_list"]
    else:
        offered = env.model_list(environment)
        entries = [top.child("model_list", None).child(index, entry) for index, entry in enumerate(offered)]
    found = deployments(entries, inherited)
    data_dir = general.pop("data_dir", None)
    for_end_users = general.pop("end_user_budget", None)
    config = Config(
        routes=routes(found, router.routing_strategy),
        deployments={deployment.id: deployment for deployment in found},
        general=GeneralSettings(
            **{"master_key": environment.get(MASTER_KEY) or None, **general, "drop_params": drop_params}
        ),
        router=router,
        telemetry=TelemetrySettings(**settings("telemetry", schema.TELEMETRY, {})),
        budgets=_budgets((*said.get("budgets", ()), for_end_users), problems),
        limits=_limits(said.get("limits", ()), problems),
        prices=price_entries(said.get("prices", ())),
        data_dir=_data_dir(environment) or data_dir or DEFAULT_DATA_DIR,
        source=source,
        warnings=problems.warnings,
    )
    if "model_list" in said and len(found) == len(entries):
        _check_names(config, said, problems)
    return config


def _budgets(found: Iterable[Budget | None], problems: Problems) -> tuple[Budget, ...]:
    """Those that are right. Two of one name would have the same books."""
    named: dict[str, Budget] = {}
    for budget in found:
        if budget is not None and named.setdefault(budget.name, budget) is not budget:
            problems.add(("budgets",), f'two budgets are called "{budget.name}"; give each a name of its own')
    return tuple(named.values())


def _limits(found: Iterable[Limit | None], problems: Problems) -> tuple[Limit, ...]:
    """Those that are right, one for each subject."""
    of: dict[tuple[str, str], Limit] = {}
    for limit in found:
        if limit is not None and of.setdefault((limit.scope, limit.subject), limit) is not limit:
            whose = f"{limit.scope} {limit.subject}".strip()
            problems.add(("limits",), f"two limits are for {whose}; make one of them")
    return tuple(of.values())


def _data_dir(environment: Mapping[str, str]) -> Path | None:
    """The folder that the environment names, which comes before the file's."""
    if not environment.get(DATA_DIR):
        return None
    try:
        return schema.directory(Value(environment[DATA_DIR], (), Problems(), {}))
    except Wrong as wrong:
        raise ConfigError(f"the environment variable {DATA_DIR}: {wrong}") from wrong


def _router(own: dict[str, Any], litellm: Mapping[str, Any]) -> RouterSettings:
    """`router_settings` before `litellm_settings`, which has some of the same."""
    shared = ("num_retries", "allowed_fails", "cooldown_time", "default_fallbacks", *_FALLBACKS)
    inherited = {key: litellm[key] for key in shared if key in litellm}
    if "request_timeout" in litellm:
        inherited["timeout"] = litellm["request_timeout"]
    aliases: dict[str, tuple[str, bool]] = own.pop("model_group_alias", {})
    arguments: dict[str, float] = own.pop("routing_strategy_args", {})
    names = {"lowest_latency_buffer": "latency_buffer", "ttl": "latency_lifetime"}
    own |= {names[name]: value for name, value in arguments.items()}
    return RouterSettings(
        **{**inherited, **own},
        model_group_alias={alias: model for alias, (model, _) in aliases.items()},
        hidden_aliases=frozenset(alias for alias, (_, hidden) in aliases.items() if hidden),
    )


def _check_names(config: Config, said: Mapping[str, Value], problems: Problems) -> None:
    """Every model that the settings name must be there."""

    def known(steps: Steps, name: str) -> None:
        if config.route(name) is None:
            problems.add(steps, f'there is no model "{name}" in model_list.{suggestion(name, config.routes)}')

    router = config.router
    for alias, model in router.model_group_alias.items():
        steps = ("router_settings", "model_group_alias", alias)
        if alias in config.routes:
            problems.add(steps, "is the name of a model, too")
        known(steps, model)
    for key in _FALLBACKS:
        where = _section_of(key, said)
        for name, targets in getattr(router, key).items():
            if name != "*":
                known((where, key), name)
            for target in targets:
                known((where, key), target)
    for target in router.default_fallbacks:
        known((_section_of("default_fallbacks", said), "default_fallbacks"), target)


def _section_of(key: str, said: Mapping[str, Value]) -> str:
    own = said.get("router_settings")
    return "router_settings" if own is not None and key in own.raw else "litellm_settings"
