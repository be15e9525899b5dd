"""The configuration loader: the mission's files, strictness with places, and what hostile files cannot do."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tollbook.config import Config, Timeouts, config_from, default_config, load_config, schema
from tollbook.config.source import MAX_BYTES
from tollbook.errors import ConfigError

ENVIRONMENT = {
    "OPENAI_API_KEY": "sk-openai-secret",
    "ANTHROPIC_API_KEY": "sk-ant-secret",
    "GEMINI_API_KEY": "gemini-secret",
    "AWS_ACCESS_KEY_ID": "aws-id",
    "AWS_SECRET_ACCESS_KEY": "aws-secret",
}
MISSION = Path(__file__).parents[2] / "shared" / "mission" / "responses.md"


@pytest.fixture
def load(tmp_path: Path) -> Any:
    """Loads the text of a file called config.yaml."""

    def loaded(text: str, environment: dict[str, str] | None = None) -> Config:
        file = tmp_path / "config.yaml"
        file.write_text(dedent(text))
        return load_config(file, ENVIRONMENT if environment is None else environment)

    return loaded


@pytest.fixture
def wrong(load: Any, tmp_path: Path) -> Any:
    """The message with which the text of a file is refused, without the folder."""

    def message(text: str, environment: dict[str, str] | None = None) -> str:
        with pytest.raises(ConfigError) as refused:
            load(text, environment)
        return refused.value.message.replace(f"{tmp_path}/", "")

    return message


def one(params: str, rest: str = "") -> str:
    """A file with one deployment that has these further litellm_params."""
    return f"model_list:\n  - model_name: m\n    litellm_params:\n      model: openai/gpt-4o\n      {params}\n{rest}"


def deployment(config: Config) -> Any:
    (only,) = config.deployments.values()
    return only


# ── The mission's files ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_yaml_block_of_the_mission_loads_unchanged(load: Any) -> None:
    if not MISSION.exists():
        pytest.skip("the mission's documentation is not beside the project")
    blocks = re.findall(r"```yaml[^\n]*\n(.*?)```", MISSION.read_text(), re.DOTALL)

    loaded = [load(block) for block in blocks]

    assert len(loaded) == 7
    assert all(config.warnings == () and config.routes for config in loaded)


def test_the_two_azure_deployments_of_the_mission_share_a_name_and_have_their_own_ids(load: Any) -> None:
    config = load(
        """\
        model_list:
          - model_name: azure-gpt4-turbo
            litellm_params:
              model: azure/gpt-4-turbo
              api_key: your-api-key-1
              api_version: 2024-06-01
              api_base: https://endpoint1.openai.azure.com
          - model_name: azure-gpt4-turbo
            litellm_params:
              model: azure/gpt-4-turbo
              api_key: your-api-key-2
              api_version: 2024-06-01
              api_base: https://endpoint2.openai.azure.com/

        router_settings:
          optional_pre_call_checks: ["responses_api_deployment_check"]
        """
    )

    (route,) = config.routes.values()
    first, second = route.deployments
    assert first.api_version == "2024-06-01"
    assert second.api_base == "https://endpoint2.openai.azure.com"
    assert (first.provider, first.model, first.api_key) == ("azure", "gpt-4-turbo", "your-api-key-1")
    assert first.id != second.id
    assert config.router.optional_pre_call_checks == ("responses_api_deployment_check",)


def test_a_file_without_models_serves_what_the_environment_offers(load: Any) -> None:
    config = load("general_settings:\n  store_prompts_in_spend_logs: true\n")

    assert config.general.store_prompts_in_spend_logs is True
    assert config.route("openai/o1-pro").deployments[0].model == "o1-pro"


def test_params_is_the_native_name_of_litellm_params(load: Any) -> None:
    config = load("model_list: [{model_name: a, params: {model: openai/gpt-4o}}]")

    assert config.route("a").deployments[0].provider == "openai"


# ── Without a file ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_credentials_only_the_simulated_provider_is_served() -> None:
    assert default_config({}).names == ("simulated/*",)


def test_a_key_in_the_environment_opens_its_provider() -> None:
    config = default_config(
        {"GROQ_API_KEY": "k", "AWS_PROFILE": "p", "AWS_REGION": "eu-central-1", "AZURE_API_KEY": "k"}
    )

    assert config.names == ("bedrock/*", "groq/*", "simulated/*")
    assert config.route("bedrock/anthropic.claude-3-sonnet-20240229-v1:0").deployments[0].provider == "bedrock"


def test_half_of_the_credentials_open_nothing() -> None:
    halves = {"AWS_ACCESS_KEY_ID": "k", "AWS_REGION": "r", "GOOGLE_CLOUD_PROJECT": "p", "AZURE_API_BASE": "b"}

    assert default_config(halves).names == ("simulated/*",)


def test_bare_names_go_to_the_family_that_has_them() -> None:
    config = default_config(ENVIRONMENT)

    found = {
        name: config.route(name).deployments[0] for name in ("gpt-4o", "o3-mini", "claude-sonnet-4-5", "gemini-2.5-pro")
    }
    assert {name: (d.provider, d.model) for name, d in found.items()} == {
        "gpt-4o": ("openai", "gpt-4o"),
        "o3-mini": ("openai", "o3-mini"),
        "claude-sonnet-4-5": ("anthropic", "claude-sonnet-4-5"),
        "gemini-2.5-pro": ("gemini", "gemini-2.5-pro"),
    }
    assert config.route("llama-3") is None


def test_master_key_and_data_dir_can_come_from_the_environment(load: Any) -> None:
    environment = {"TOLLBOOK_MASTER_KEY": "sk-1", "TOLLBOOK_DATA_DIR": "/books"}

    assert default_config(environment).general.master_key == "sk-1"
    assert default_config(environment).data_dir == Path("/books")
    with pytest.raises(ConfigError, match="TOLLBOOK_DATA_DIR: there is no such home directory"):
        default_config({"TOLLBOOK_DATA_DIR": "~nobody-has-this-name"})
    assert load("general_settings: {master_key: sk-2, data_dir: here}", environment).general.master_key == "sk-2"
    assert load("general_settings: {master_key: sk-2, data_dir: here}", {}).data_dir == Path("here")


# ── Names ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_star_is_carried_over_and_the_longest_wildcard_wins(load: Any) -> None:
    config = load(
        """\
        model_list:
          - {model_name: "*", litellm_params: {model: "*"}}
          - {model_name: "team-a/*", litellm_params: {model: "openai/*"}}
          - {model_name: "team-a/claude-*", litellm_params: {model: "bedrock/anthropic.claude-*-v1:0"}}
          - {model_name: "cheap/*", litellm_params: {model: openai/gpt-5-nano}}
          - {model_name: team-a/exact, litellm_params: {model: openai/o1}}
        """
    )

    def served(name: str) -> tuple[str, str, str]:
        found = config.route(name).deployments[0]
        return found.name, found.provider, found.model

    assert served("team-a/gpt-4o") == ("team-a/gpt-4o", "openai", "gpt-4o")
    assert served("team-a/claude-3") == ("team-a/claude-3", "bedrock", "anthropic.claude-3-v1:0")
    assert served("team-a/exact") == ("team-a/exact", "openai", "o1")
    assert served("cheap/anything") == ("cheap/anything", "openai", "gpt-5-nano")
    assert served("anthropic/claude-x") == ("anthropic/claude-x", "anthropic", "claude-x")


def test_a_wildcard_needs_something_to_stand_for_and_is_no_name_itself() -> None:
    config = default_config(ENVIRONMENT)

    assert config.route("openai/") is None
    assert config.route("openai/*").deployments[0].model == "*"
    assert config.route("x" * 300) is None


def test_aliases_lead_to_models_and_hidden_ones_are_not_listed(load: Any) -> None:
    config = load(one("", "router_settings: {model_group_alias: {gpt-4: m, secret: {model: m, hidden: true}}}"))

    assert config.route("gpt-4").name == config.route("secret").name == "m"
    assert config.names == ("m", "gpt-4")


def test_fallbacks_are_those_of_the_name_then_of_the_star_then_the_default_ones(load: Any) -> None:
    models = "".join(f"  - {{model_name: {n}, litellm_params: {{model: openai/{n}}}}}\n" for n in "abcd")
    own = load(
        f"model_list:\n{models}router_settings: {{fallbacks: [{{a: [b]}}, {{'*': [c]}}], default_fallbacks: [d]}}"
    )
    default = load(f"model_list:\n{models}litellm_settings: {{fallbacks: [{{a: [b]}}], default_fallbacks: [d]}}")

    assert (own.route("a").fallbacks, own.route("b").fallbacks) == (("b",), ("c",))
    assert (default.route("a").fallbacks, default.route("b").fallbacks) == (("b",), ("d",))
    assert default.route("d").fallbacks == ()


def test_ids_stay_when_models_are_added_and_say_nothing_of_keys(load: Any) -> None:
    first = load(one("api_key: sk-first")).deployments
    again = load(
        "model_list:\n  - {model_name: new, litellm_params: {model: openai/o1}}\n"
        + one("api_key: sk-other").partition("\n")[2]
    ).deployments
    twins = load("model_list:\n" + 2 * "  - {model_name: m, litellm_params: {model: openai/gpt-4o}}\n").deployments

    assert set(first) < set(again)
    assert len(twins) == 2
    assert set(first) < set(twins)
    assert all(re.fullmatch(r"[0-9a-f]{12}", name) for name in again)


# ── Values ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_variables_of_the_environment_are_put_in_everywhere_also_as_numbers(load: Any) -> None:
    config = load(
        one(
            "{api_key: os.environ/K, rpm: os.environ/N, drop_params: os.environ/YES, extra_body: {a: [os.environ/K]}}"
        ).replace("model: openai/gpt-4o\n      {", "{model: openai/gpt-4o, "),
        {"K": "secret", "N": "12", "YES": "true"},
    )

    found = deployment(config)
    assert (found.api_key, found.rpm, found.drop_params) == ("secret", 12, True)
    assert found.extra_body == {"a": ["secret"]}


def test_no_secret_is_in_the_representation_of_a_configuration(load: Any) -> None:
    config = load(one("api_key: os.environ/OPENAI_API_KEY", "general_settings: {master_key: sk-master}"))

    assert "sk-" not in repr(config)


def test_timeouts_come_from_the_deployment_then_the_router_then_litellm_settings(load: Any) -> None:
    rest = "router_settings: {stream_timeout: 40}\nlitellm_settings: {request_timeout: 100}"

    assert deployment(load(one("", rest))).timeouts == Timeouts(total=100, first_event=40, idle=40)
    assert deployment(load(one("timeout: 30", rest))).timeouts == Timeouts(total=30, first_event=40, idle=40)
    assert deployment(load(one("timeouts: {idle: 7}", rest))).timeouts == Timeouts(total=100, first_event=40, idle=7)


def test_request_parameters_become_defaults_by_their_responses_names(load: Any) -> None:
    config = load(
        one(
            """max_tokens: 100
      temperature: 0.5
      reasoning: {summary: auto}
      reasoning_effort: low
      verbosity: high
      response_format: {type: json_schema, json_schema: {name: n, schema: {type: object}, strict: true}}
      include: [reasoning.encrypted_content]"""
        )
    )

    assert deployment(config).defaults == {
        "include": ["reasoning.encrypted_content"],
        "max_output_tokens": 100,
        "temperature": 0.5,
        "reasoning": {"summary": "auto", "effort": "low"},
        "text": {
            "verbosity": "high",
            "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True},
        },
    }


def test_options_are_those_of_the_provider(load: Any, wrong: Any) -> None:
    config = load(
        "model_list: [{model_name: a, litellm_params: {model: bedrock/x, region_name: eu-1, aws_profile_name: p}}]"
    )

    assert deployment(config).options == {"aws_region_name": "eu-1", "aws_profile_name": "p"}
    assert "roles are assumed by a profile" in wrong(one("aws_role_name: x"))
    assert "region_name: not used" in load(one("region_name: eu")).warnings[0]
    assert "aws_region_name: is for bedrock, and this deployment is openai." in wrong(one("aws_region_name: eu-1"))
    assert "unknown key" in wrong(one("aws_regoin_name: eu-1"))


def test_the_provider_is_in_the_model_or_said_apart_or_known_by_the_family(load: Any, wrong: Any) -> None:
    def target(params: str) -> tuple[str, str]:
        found = deployment(load(f"model_list: [{{model_name: a, litellm_params: {{{params}}}}}]"))
        return found.provider, found.model

    assert target("model: openai/gpt-4o") == ("openai", "gpt-4o")
    assert target("model: meta-llama/Llama-3, custom_llm_provider: openai") == ("openai", "meta-llama/Llama-3")
    assert target("model: openai/gpt-4o, custom_llm_provider: openai") == ("openai", "gpt-4o")
    assert target("model: claude-sonnet-4-5") == ("anthropic", "claude-sonnet-4-5")
    assert "which provider?" in wrong("model_list: [{model_name: a, litellm_params: {model: llama}}]")


def test_prices_are_numbers_by_the_names_of_the_price_map(load: Any, wrong: Any) -> None:
    prices = "input_cost_per_token: 1e-6\n      output_cost_per_token: 2.0e-06\n      "

    assert deployment(load(one(prices + "input_cost_per_token_above_200k_tokens_flex: 0"))).prices == {
        "input_cost_per_token": 1e-6,
        "output_cost_per_token": 2e-6,
        "input_cost_per_token_above_200k_tokens_flex": 0.0,
    }
    assert 'Did you mean "input_cost_per_token"?' in wrong(one("input_cost_per_tokn: 1"))
    assert "own prices need output_cost_per_token, too" in wrong(one("input_cost_per_token: 1e-6"))
    assert "expected a number, got text" in wrong(one("input_cost_per_token: cheap\n      output_cost_per_token: 1"))
    assert "must be at least 0" in wrong(one("input_cost_per_token: -1\n      output_cost_per_token: 1"))


def test_headers_may_not_smuggle(wrong: Any) -> None:
    assert "control character" in wrong(one(r'extra_headers: {x-a: "b\r\nx-c: d"}'))
    assert "not a header name" in wrong(one('extra_headers: {"x a": b}'))


@pytest.mark.parametrize(
    "base",
    ["ftp://host", "host", "https://", "https://user:hunter2@host", "http://[", "http://host:99999", "https://h#f"],
)
def test_an_api_base_is_a_plain_url(base: str, wrong: Any) -> None:
    message = wrong(one(f"api_base: '{base}'"))

    assert message.startswith("config.yaml:5: model_list[0].litellm_params.api_base: ")
    assert "hunter2" not in message


def test_drop_params_is_inherited_and_can_be_taken_back(load: Any) -> None:
    assert deployment(load(one("", "litellm_settings: {drop_params: true}"))).drop_params is True
    assert deployment(load(one("drop_params: false", "general_settings: {drop_params: true}"))).drop_params is False


# ── Strictness ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_all_problems_are_told_at_once_with_file_line_path_and_suggestion(wrong: Any) -> None:
    message = wrong(
        """\
        model_list:
          - model_name: a
            litellm_params:
              model: openai/gpt-4o
              api_kye: sk-never-shown
              rpm: sk-never-shown
              api_key: os.environ/OPENAI_KEY
              api_key: twice
          - model_nam: b
            litellm_params: {tpm: true}
        router_settings:
          routing_strategy: latency-based
        general_setings: {}
        """
    )

    assert message.splitlines() == [
        *message.splitlines()[:1],
        '  config.yaml:5: model_list[0].litellm_params.api_kye: unknown key. Did you mean "api_key"?',
        "  config.yaml:6: model_list[0].litellm_params.rpm: expected a whole number, got text",
        "  config.yaml:7: model_list[0].litellm_params.api_key: the environment variable OPENAI_KEY is not set. "
        'Did you mean "OPENAI_API_KEY"?',
        "  config.yaml:8: model_list[0].litellm_params.api_key: written twice in the same place, first in line 7",
        '  config.yaml:9: model_list[1].model_nam: unknown key. Did you mean "model_name"?',
        '  config.yaml:9: model_list[1]: "model_name" is missing',
        "  config.yaml:10: model_list[1].litellm_params.tpm: expected a whole number, got true or false",
        "  config.yaml:12: router_settings.routing_strategy: must be one of simple-shuffle, least-busy, "
        'latency-based-routing, usage-based-routing, cost-based-routing. Did you mean "latency-based-routing"?',
        '  config.yaml:13: general_setings: unknown key. Did you mean "general_settings"?',
    ]
    assert message.splitlines()[0].endswith("has 9 problems:")
    assert "sk-never-shown" not in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "expected a mapping, got a list"),
        ("model_list: {}", "config.yaml:1: model_list: expected a list of models, got a mapping"),
        ("model_list: [x]", "config.yaml:1: model_list[0]: expected a mapping, got text"),
        ("model_list: [{model_name: a}]", 'model_list[0]: "litellm_params" is missing'),
        ("model_list: [{model_name: a, litellm_params: {}}]", 'model_list[0].litellm_params: "model" is missing'),
        ("general_settings: {data_dir: ~nobody-has-this-name/x}", "data_dir: there is no such home directory"),
        (one("", "router_settings: 5"), "router_settings: expected a mapping, got a number"),
        (one("api_key: 12345"), "expected text, got a number; put it in quotes"),
        (one("api_key: yes"), "expected text, got true or false; put it in quotes"),
        (one("api_key: ''"), "must not be empty"),
        (one("api_key: os.environ/"), "os.environ/ needs the name of a variable"),
        (one("weight: .nan"), "the number must be finite"),
        (one("weight: 1" + "0" * 400), "the number is too large"),
        (one("rpm: 1.5"), "expected a whole number, got a number"),
        (one("order: -1"), "must be at least 0"),
        (one("timeout: 0"), "must be above 0"),
        (
            one("base_url: http://a\n      api_base: http://b"),
            'another name for "api_base", which is given, too; keep one',
        ),
        (one("reasoning_effort: lots"), "must be one of none, minimal, low"),
        (one("reasoning: {effort: low}\n      reasoning_effort: low"), 'another name for "reasoning.effort"'),
        (
            one("", "router_settings: {fallbacks: [{m: [n]}]}"),
            'router_settings.fallbacks: there is no model "n" in model_list.',
        ),
        (one("", "router_settings: {fallbacks: m}"), "expected a list of {name: [names]}, got text"),
        (one("", "router_settings: {model_group_alias: {x: y}}"), 'there is no model "y" in model_list.'),
        (one("", "router_settings: {model_group_alias: {m: m}}"), "is the name of a model, too"),
        (
            one("", "router_settings: {optional_pre_call_checks: [nonsense]}"),
            "must be one of responses_api_deployment_check",
        ),
        (one("", "telemetry: {trust_remote_context: parents}"), 'Did you mean "parent"?'),
        (one("", "general_settings: {end_user_header: 'x y'}"), "not a header name"),
        (
            "model_list: [{model_name: a, litellm_params: {model: 'openai/*'}}]",
            'has a "*" for which model_name has none',
        ),
        ("model_list: [{model_name: 'a*b*', litellm_params: {model: openai/b}}]", 'at most one "*"'),
        (one("!!python/object/apply:os.system [id]"), "not YAML"),
        (one("extra_body: {x: !!python/name:os.system }"), "tags are not allowed"),
        (one("extra_body: !!binary aGk="), "tags are not allowed"),
        ("a: [", "config.yaml:1: not YAML"),
        ("a: 1\n---\nb: 2", "not YAML"),
        ("a: \x07", "characters that YAML does not allow"),
        ("? [a]\n: b", "a key must be a plain word"),
        ("<<: 5", "only a mapping can be merged"),
    ],
)
def test_a_wrong_file_is_refused_with_its_reason(text: str, message: str, wrong: Any) -> None:
    assert message in wrong(text)


def test_an_id_may_be_given_only_once(wrong: Any) -> None:
    entry = "  - {model_name: a, litellm_params: {model: openai/a}, model_info: {id: one}}\n"

    assert wrong("model_list:\n" + 2 * entry) == (
        'config.yaml:3: model_list[1].model_info.id: "one" is the id of model_list[0], too'
    )


def test_an_empty_variable_is_told_apart_from_a_missing_one(wrong: Any) -> None:
    assert "the environment variable K is empty" in wrong(one("api_key: os.environ/K"), {"K": ""})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read: No such file"):
        load_config(tmp_path / "nowhere.yaml", {})
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path, {})


# ── LiteLLM's files ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_settings_of_litellm_that_are_not_used_are_warnings_with_their_place(load: Any) -> None:
    config = load(
        one(
            "ssl_verify: false",
            "litellm_settings: {success_callback: [langfuse], cache: true}\n"
            "general_settings:\n  database_connection_pool_limit: 10\n  alerting: [slack]\n"
            "router_settings: {redis_host: os.environ/NOT_SET, routing_strategy: lar1}\n",
        )
    )

    warnings = [warning.rpartition("/")[2] for warning in config.warnings]
    assert warnings[0].startswith("config.yaml:5: model_list[0].litellm_params.ssl_verify: not used: set SSL_CERT_FILE")
    assert "config.yaml:9: general_settings.alerting: not used" in warnings
    assert [warning.partition(": ")[2].partition(": ")[0] for warning in warnings[1:]] == [
        "litellm_settings.success_callback",
        "litellm_settings.cache",
        "general_settings.database_connection_pool_limit",
        "general_settings.alerting",
        "router_settings.redis_host",
        "router_settings.routing_strategy",
    ]
    assert config.router.routing_strategy == "simple-shuffle"


def test_what_is_read_and_not_followed_is_told(load: Any) -> None:
    config = load(
        one(
            "tags: [a]",
            "router_settings: {routing_strategy: least-busy, optional_pre_call_checks: "
            "[responses_api_deployment_check, session_affinity, prompt_caching]}",
        )
    )

    assert [warning.partition(": ")[2] for warning in config.warnings] == [
        "model_list[0].litellm_params.tags: has no effect in this version",
        "router_settings.optional_pre_call_checks[1]: session_affinity has no effect in this version",
        "router_settings.optional_pre_call_checks[2]: prompt_caching has no effect in this version",
    ]
    assert config.router.optional_pre_call_checks == ("responses_api_deployment_check", "session_affinity")


def test_router_settings_of_litellm_that_are_followed_are_no_warnings(load: Any) -> None:
    config = load(
        one(
            "hedge_after: 3\n      max_parallel_requests: 5",
            "router_settings: {routing_strategy: usage-based-routing-v2, hedge_after: 9,\n"
            "  routing_strategy_args: {ttl: 30, lowest_latency_buffer: 0.5}, enable_weighted_failover: true,\n"
            "  enable_mid_stream_fallback_continuation: true, optional_pre_call_checks: [encrypted_content_affinity]}",
        )
    )

    assert [warning.rpartition(": not used: ")[2] for warning in config.warnings] == [
        "it is always so: a retry chooses among the others by the strategy"
    ]
    router = config.router
    assert (router.routing_strategy, router.hedge_after) == ("usage-based-routing", 9)
    assert (router.latency_lifetime, router.latency_buffer) == (30, 0.5)
    assert router.enable_mid_stream_fallback_continuation
    (deployment,) = config.deployments.values()
    assert (deployment.hedge_after, deployment.max_parallel_requests) == (3, 5)


def test_router_settings_come_before_the_same_in_litellm_settings(load: Any) -> None:
    config = load(one("", "litellm_settings: {num_retries: 7, allowed_fails: 9}\nrouter_settings: {num_retries: 1}"))

    assert (config.router.num_retries, config.router.allowed_fails) == (1, 9)


def test_no_key_is_both_used_and_ignored() -> None:
    from tollbook.config import foreign

    pairs = [
        (schema.TOP, foreign.TOP),
        (schema.PARAMS, foreign.PARAMS),
        (schema.MODEL_INFO, foreign.MODEL_INFO),
        (schema.ROUTER, foreign.ROUTER),
        (schema.LITELLM, foreign.LITELLM),
        ({**schema.GENERAL, **schema.GENERAL_SYNONYMS}, foreign.GENERAL),
    ]
    for used, ignored in pairs:
        assert not set(used) & set(ignored)
        assert not [name for name in ignored if schema.is_price(name)]


# ── YAML ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_anchors_and_merge_keys_work_and_what_is_written_wins(load: Any) -> None:
    config = load(
        """\
        model_list:
          - model_name: a
            litellm_params: &shared {model: openai/gpt-4o, api_key: one, rpm: 5}
          - model_name: b
            litellm_params: {<<: *shared, api_key: two}
          - model_name: c
            litellm_params:
              <<: [{rpm: 9}, *shared]
        """
    )

    a, b, c = config.deployments.values()
    assert [(d.api_key, d.rpm) for d in (a, b, c)] == [("one", 5), ("two", 5), ("one", 9)]


def test_scalars_mean_what_people_mean(load: Any) -> None:
    config = load(one("extra_body: {date: 2024-06-01, time: 22:30, small: 1e-6, big: 1_000, off: false, 5: x}"))

    assert deployment(config).extra_body == {
        "date": "2024-06-01",
        "time": "22:30",
        "small": 1e-6,
        "big": 1000,
        "off": False,
        "5": "x",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(8)
        ), "more than 100000 values, aliases included"),
        ("a: &a [*a]", "nested more than 50 deep"),
        ("a: &a {<<: *a}", "nested more than 50 deep"),
        ("a: " + "[" * 60 + "]" * 60, "nested more than 50 deep"),
        ("[" * 100_000, "nested too deeply"),
        ("#" * (MAX_BYTES + 1), "larger than 1024 KiB"),
    ],
    ids=["laughs", "alias to itself", "merge of itself", "deep", "very deep", "large"],
)  # fmt: skip
def test_bombs_are_refused(text: str, message: str, wrong: Any) -> None:
    assert message in wrong(text)


def test_a_file_that_is_not_utf_8_is_refused_with_the_line(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(b"a: b\nc: \xff\n")

    with pytest.raises(ConfigError, match=r"config\.yaml:2: not UTF-8"):
        load_config(file, {})


# ── From Python ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_python_values_are_checked_alike_and_errors_name_the_path() -> None:
    model = {"model_name": "a", "litellm_params": {"model": "openai/gpt-4o", "api_key": "k", "rpm": None}}

    assert config_from({"model_list": (model,)}, {}).route("a").deployments[0].api_key == "k"
    with pytest.raises(ConfigError) as refused:
        config_from({"model_list": [{**model, "litellm_parms": {}}]}, {})
    assert refused.value.message == 'model_list[0].litellm_parms: unknown key. Did you mean "litellm_params"?'


def test_python_values_inside_themselves_are_refused() -> None:
    body: dict[str, Any] = {}
    body["again"] = body

    with pytest.raises(ConfigError, match="inside itself"):
        config_from({"model_list": [{"model_name": "a", "params": {"model": "openai/a", "extra_body": body}}]}, {})


def test_a_configuration_travels_to_worker_processes() -> None:
    config = default_config(ENVIRONMENT)

    assert pickle.loads(pickle.dumps(config)) == config


# ── Anything at all ─────────────────────────────────────────────────────────────────────────────────────────────────────

_SECTIONS = (schema.TOP, schema.ENTRY, schema.PLACE, schema.ROUTER, schema.GENERAL, schema.TELEMETRY)
_OTHERS = (
    "params",
    "id",
    "aws_region_name",
    "input_cost_per_token",
    "os.environ/OPENAI_API_KEY",
    "os.environ/X",
    "*",
    "<<",
)
_words = st.sampled_from([*(key for keys in _SECTIONS for key in keys), *_OTHERS])
_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | _words
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words | st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
_models = st.lists(
    st.fixed_dictionaries(
        {
            "model_name": st.sampled_from(["a", "b/*"]) | _values,
            "litellm_params": st.dictionaries(st.sampled_from(list(schema.PARAMS)), _values, max_size=5).map(
                lambda params: {"model": "openai/a", **params}
            ),
        }
    ),
    max_size=3,
)
_pieces = "model_list: model_name: a &x *x <<: - { } [ ] : , !! ! %YAML ' \" | > # ? --- 0x 0b 0_ 1e5 -.inf = ~ \\x \\U00110000"
_yaml = st.lists(
    st.sampled_from([*_pieces.split(), "\n", "\n  ", " ", "\t", "\x00", "\ufeff", "é", "2024-06-01"]), max_size=25
).map("".join)


def told(load: Callable[[], Config]) -> str:
    """The message of the ConfigError that a load ends with; "" when there is none. Anything else escapes."""
    try:
        config = load()
    except ConfigError as error:
        return error.message
    config.route("a")
    return ""


# The machine may be busy: no deadline for a single example.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@patient
@given(st.dictionaries(st.sampled_from(list(schema.TOP)), _values, max_size=4))
def test_any_values_load_or_raise_a_config_error(mapping: dict[str, Any]) -> None:
    assert isinstance(told(lambda: config_from(mapping, ENVIRONMENT)), str)


@patient
@given(_models)
def test_any_models_load_or_raise_a_config_error(models: list[Any]) -> None:
    assert isinstance(told(lambda: config_from({"model_list": models}, ENVIRONMENT)), str)


@patient
@given(text=_yaml | st.text(max_size=60) | st.binary(max_size=60))
def test_any_text_loads_or_raises_a_config_error_that_names_the_file(text: str | bytes, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))

    message = told(lambda: load_config(file, ENVIRONMENT))

    assert message == "" or str(file) in message


# ── Budgets and limits ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_budgets_and_limits_are_read_with_their_subjects(load: Any) -> None:
    config = load(
        """\
        budgets:
          - {name: all, amount: 500, window: month, zone: Europe/Berlin, soft: 0.8}
          - {model: "gpt*", amount: "0.5", window: 24h, soft: 0.25}
          - {end_user: "trial-*", amount: 2, window: total, soft: 1.5}
          - {team: research, amount: 0, window: week}
          - {key: ci, amount: 5, window: day}
        limits:
          - {end_user: "*", rpm: 20}
          - {rpm: 600, tpm: 1000000}
        general_settings: {end_user_budget: {amount: 1, window: day}, budget_output_tokens: 4096}
        """
    )

    assert [(each.id, each.scope, each.subject, each.amount, each.window.text) for each in config.budgets] == [
        ("config:all", "global", "", 500_000_000_000, "month"),
        ("config:model:gpt*:24h", "model", "gpt*", 500_000_000, "24h"),
        ("config:end_user:trial-*:total", "end_user", "trial-*", 2_000_000_000, "total"),
        ("config:team:research:week", "team", "research", 0, "week"),
        ("config:key:ci:day", "key", "ci", 5_000_000_000, "day"),
        ("config:end_user_budget", "end_user", "*", 1_000_000_000, "day"),
    ]
    assert config.budgets[0].window.zone == "Europe/Berlin"
    assert [each.threshold for each in config.budgets[:3]] == [400_000_000_000, 125_000_000, 1_500_000_000]
    assert [(each.scope, each.subject, each.rpm, each.tpm) for each in config.limits] == [
        ("end_user", "*", 20, None),
        ("global", "", 600, 1_000_000),
    ]
    assert config.general.budget_output_tokens == 4096


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("{amount: -5, window: day}", "budgets[0].amount: an amount must not be negative"),
        ("{amount: .nan, window: day}", "budgets[0].amount: an amount must be finite"),
        ("{amount: 1e10, window: day}", "budgets[0].amount: an amount is at most a billion dollars"),
        ("{amount: 0.0000000001, window: day}", "budgets[0].amount: an amount has at most nine decimals"),
        ("{amount: true, window: day}", "budgets[0].amount: expected an amount of dollars, got true or false"),
        ("{amount: 5, window: 0h}", "budgets[0].window: a window of 0 holds nothing"),
        ("{amount: 5, window: 1y}", "budgets[0].window: a window is a span such as"),
        ("{amount: 5, window: day, zone: Mars}", "budgets[0].zone: there is no such time zone"),
        ("{amount: 5, window: 1h, zone: Europe/Rome}", "budgets[0].zone: only a day, week or month has a time zone"),
        ("{amount: 5, window: day, soft: 6}", "budgets[0]: a soft limit lies below the amount"),
        ("{amount: 5, window: day, soft: 0}", "budgets[0]: a soft limit is a share"),
        ("{amount: 5, window: day, key: a, team: b}", "budgets[0]: is for one of key, team, end_user, model"),
        ("{amount: 5, window: day, modl: a}", 'budgets[0].modl: unknown key. Did you mean "model"?'),
        ("{amount: 5}", "budgets[0]: a budget needs window"),
        ("all", "budgets[0]: expected a mapping, got text"),
    ],
)
def test_a_budget_that_cannot_be_is_named_with_its_line(wrong: Any, entry: str, told: str) -> None:
    assert wrong(f"budgets:\n  - {entry}\n").startswith(f"config.yaml:2: {told}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("limits: [{end_user: a}]", "limits[0]: a limit needs rpm or tpm"),
        ("limits: [{rpm: 0}]", "limits[0].rpm: must be at least 1"),
        ("limits: [{rpm: 1}, {tpm: 1}]", "limits: two limits are for global; make one of them"),
        (
            "budgets: [{amount: 1, window: day}, {amount: 2, window: day}]",
            'budgets: two budgets are called "global:day"; give each a name of its own',
        ),
        (
            "general_settings: {end_user_budget: 5}",
            "general_settings.end_user_budget: expected a mapping, got a number",
        ),
    ],
)
def test_limits_and_names_that_cannot_be_are_named(wrong: Any, text: str, told: str) -> None:
    assert wrong(text) == f"config.yaml:1: {told}"
