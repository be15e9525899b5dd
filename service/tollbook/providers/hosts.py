"""Hosts that speak OpenAI's language: one row each.

A row is right when a host differs only by what it holds; behaviour of its own would be a module. A name in braces is
filled in from the environment. Addresses were checked on 2026-11-22, each against what is named over its block or
beside it: real recorded traffic, the public list of models.dev, documentation, or the code of several public projects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tollbook.dialects.chat import HOST_SAMPLING, OPENAI, SAMPLING, Manner

_TIERS = frozenset({"service_tier"})
_CACHE = frozenset({"prompt_cache_key"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One place. `base` is "" where everybody runs their own; `keys` is empty where none is needed."""

    base: str
    keys: tuple[str, ...] = ()
    manner: Manner = field(default_factory=Manner)
    native: bool = False
    """Whether the Responses API is the one that its documentation puts first."""
    headers: Mapping[str, str] = field(default_factory=dict)


_QWEN = Manner(effort="switch", passes=HOST_SAMPLING | {"enable_thinking", "thinking_budget", "enable_search"})
_TEMPLATED = Manner(
    alternates=True,
    effort="template",
    returns_reasoning="reasoning_content",
    passes=HOST_SAMPLING
    | {"chat_template_kwargs", "enable_thinking", "reasoning_format", "guided_json", "guided_regex", "cache_prompt"},
)
_GATEWAY = Manner(
    maker="openrouter",
    effort="object",
    reasoning_details=True,
    cache_control=True,
    passes=HOST_SAMPLING | _TIERS | {"models", "provider", "plugins", "transforms", "route", "verbosity", "usage"},
)

HOSTS: Mapping[str, Host] = {
    # ---- model makers. Recorded traffic: mistral, deepseek, xai, perplexity, zai. models.dev: moonshot, dashscope,
    # meta_llama, inception, morph. Public projects: minimax, ai21, upstage (models.dev has its older /v1/solar).
    "mistral": Host(
        base="https://api.mistral.ai/v1",
        keys=("MISTRAL_API_KEY",),
        manner=Manner(
            host="Mistral",
            maker="mistral",
            stream_options=False,
            efforts=("none", "low", "medium", "high"),
            returns_reasoning="parts",
            file="document_url",
            file_urls=True,
            audio="base64",
            # https://docs.mistral.ai/api/endpoint/chat refuses members that it does not know.
            passes=frozenset(
                {"stop", "presence_penalty", "frequency_penalty", "random_seed", "safe_prompt", "prompt_mode"}
                | {"prediction", "guardrails", "metadata"}
                | _CACHE
            ),
        ),
    ),
    "deepseek": Host(
        base="https://api.deepseek.com",
        keys=("DEEPSEEK_API_KEY",),
        # https://api-docs.deepseek.com/guides/thinking_mode and /guides/json_mode
        manner=Manner(
            host="DeepSeek",
            maker="deepseek",
            effort="thinking",
            json_schema=False,
            returns_reasoning="reasoning_content",
        ),
    ),
    "xai": Host(
        base="https://api.x.ai/v1",
        keys=("XAI_API_KEY",),
        native=True,  # https://docs.x.ai/docs/guides/chat: Responses is the preferred API
        manner=Manner(
            host="xAI",
            max_tokens="max_completion_tokens",
            passes=SAMPLING | _TIERS | {"user", "search_parameters", "deferred"},
        ),
    ),
    "perplexity": Host(
        base="https://api.perplexity.ai",
        keys=("PERPLEXITY_API_KEY", "PERPLEXITYAI_API_KEY"),
        manner=Manner(
            host="Perplexity",
            alternates=True,
            file="file_url",
            file_urls=True,
            web_search="options",
            passes=SAMPLING
            | {"top_k", "web_search_options", "search_domain_filter", "search_recency_filter", "search_mode"}
            | {"return_images", "return_related_questions", "search_after_date_filter", "search_before_date_filter"},
        ),
    ),
    "moonshot": Host(
        base="https://api.moonshot.ai/v1",
        keys=("MOONSHOT_API_KEY",),
        manner=Manner(host="Moonshot", maker="moonshot", effort="thinking", returns_reasoning="reasoning_content"),
    ),
    "zai": Host(
        base="https://api.z.ai/api/paas/v4",
        keys=("ZAI_API_KEY", "ZHIPU_API_KEY"),
        manner=Manner(
            host="Z.ai",
            maker="zai",
            effort="thinking",
            json_schema=False,
            returns_reasoning="reasoning_content",
        ),
    ),
    "dashscope": Host(
        base="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        keys=("DASHSCOPE_API_KEY",),
        manner=replace(_QWEN, host="Alibaba Model Studio"),
    ),
    "minimax": Host(base="https://api.minimax.io/v1", keys=("MINIMAX_API_KEY",)),
    "meta_llama": Host(base="https://api.llama.com/compat/v1", keys=("LLAMA_API_KEY",)),
    "ai21": Host(base="https://api.ai21.com/studio/v1", keys=("AI21_API_KEY",)),
    "upstage": Host(base="https://api.upstage.ai/v1", keys=("UPSTAGE_API_KEY",)),
    "inception": Host(base="https://api.inceptionlabs.ai/v1", keys=("INCEPTION_API_KEY",)),
    "morph": Host(base="https://api.morphllm.com/v1", keys=("MORPH_API_KEY",)),
    # ---- hosts of open models. Recorded traffic: groq, cerebras, together_ai, crusoe, doubleword, venice. models.dev:
    # fireworks_ai, nebius, baseten, friendliai, nvidia_nim, scaleway, ovhcloud. Public projects: deepinfra, sambanova,
    # nscale, volcengine, hyperbolic (rig-core), novita (promptfoo).
    "groq": Host(
        base="https://api.groq.com/openai/v1",
        keys=("GROQ_API_KEY",),
        manner=Manner(
            host="Groq",
            max_tokens="max_completion_tokens",
            maker="groq",
            returns_reasoning="reasoning",
            passes=SAMPLING
            | _TIERS
            | {"user", "reasoning_format", "include_reasoning", "search_settings", "compound_custom", "documents"},
        ),
    ),
    "cerebras": Host(
        base="https://api.cerebras.ai/v1",
        keys=("CEREBRAS_API_KEY",),
        manner=Manner(
            host="Cerebras",
            max_tokens="max_completion_tokens",
            maker="cerebras",
            returns_reasoning="reasoning",
            passes=SAMPLING | _TIERS | {"user", "clear_thinking", "disable_reasoning", "reasoning_format"},
        ),
    ),
    "together_ai": Host(base="https://api.together.xyz/v1", keys=("TOGETHER_API_KEY", "TOGETHERAI_API_KEY")),
    "fireworks_ai": Host(
        base="https://api.fireworks.ai/inference/v1",
        keys=("FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY"),
        manner=Manner(
            host="Fireworks",
            maker="fireworks",
            returns_reasoning="reasoning_content",
            passes=HOST_SAMPLING | _TIERS | _CACHE | {"reasoning_history", "context_length_exceeded_behavior"},
        ),
    ),
    "deepinfra": Host(base="https://api.deepinfra.com/v1/openai", keys=("DEEPINFRA_API_KEY",)),
    "hyperbolic": Host(base="https://api.hyperbolic.xyz/v1", keys=("HYPERBOLIC_API_KEY",)),
    "novita": Host(base="https://api.novita.ai/openai/v1", keys=("NOVITA_API_KEY",)),
    "sambanova": Host(base="https://api.sambanova.ai/v1", keys=("SAMBANOVA_API_KEY",)),
    "nebius": Host(base="https://api.tokenfactory.nebius.com/v1", keys=("NEBIUS_API_KEY",)),
    # https://featherless.ai/docs/quickstart-guide
    "featherless_ai": Host(
        base="https://api.featherless.ai/v1", keys=("FEATHERLESS_AI_API_KEY", "FEATHERLESS_API_KEY")
    ),
    "baseten": Host(base="https://inference.baseten.co/v1", keys=("BASETEN_API_KEY",)),
    "nscale": Host(base="https://inference.api.nscale.com/v1", keys=("NSCALE_API_KEY",)),
    "friendliai": Host(base="https://api.friendli.ai/serverless/v1", keys=("FRIENDLI_TOKEN",)),
    "crusoe": Host(
        base="https://api.inference.crusoecloud.com/v1",
        keys=("CRUSOE_API_KEY",),
        manner=Manner(host="Crusoe", maker="crusoe", returns_reasoning="reasoning"),
    ),
    "doubleword": Host(
        base="https://api.doubleword.ai/v1",
        keys=("DOUBLEWORD_API_KEY",),
        manner=Manner(host="Doubleword", maker="doubleword", returns_reasoning="reasoning_content"),
    ),
    "venice": Host(
        base="https://api.venice.ai/api/v1",
        keys=("VENICE_API_KEY",),
        manner=Manner(
            host="Venice",
            maker="venice",
            returns_reasoning="reasoning_content",
            passes=HOST_SAMPLING | _CACHE | {"venice_parameters"},
        ),
    ),
    "nvidia_nim": Host(base="https://integrate.api.nvidia.com/v1", keys=("NVIDIA_NIM_API_KEY", "NVIDIA_API_KEY")),
    "scaleway": Host(base="https://api.scaleway.ai/v1", keys=("SCW_SECRET_KEY", "SCALEWAY_API_KEY")),
    "ovhcloud": Host(base="https://oai.endpoints.kepler.ai.cloud.ovh.net/v1", keys=("OVHCLOUD_API_KEY",)),
    "volcengine": Host(base="https://ark.cn-beijing.volces.com/api/v3", keys=("VOLCENGINE_API_KEY", "ARK_API_KEY")),
    # ---- platforms and gateways. Recorded traffic: openrouter, vercel_ai_gateway, huggingface, github_copilot, databricks,
    # snowflake, cloudflare, gemini_openai. models.dev: github. Public projects: bedrock_mantle.
    "openrouter": Host(
        base="https://openrouter.ai/api/v1",
        keys=("OPENROUTER_API_KEY",),
        manner=replace(_GATEWAY, host="OpenRouter", file_urls=True, web_search="openrouter", own_tools="openrouter:"),
    ),
    "vercel_ai_gateway": Host(
        base="https://ai-gateway.vercel.sh/v1",
        keys=("VERCEL_AI_GATEWAY_API_KEY", "AI_GATEWAY_API_KEY"),
        manner=replace(_GATEWAY, host="Vercel AI Gateway", passes=_GATEWAY.passes | {"providerOptions"}),
    ),
    "huggingface": Host(base="https://router.huggingface.co/v1", keys=("HF_TOKEN", "HUGGINGFACE_API_KEY")),
    "github": Host(base="https://models.github.ai/inference", keys=("GITHUB_API_KEY", "GITHUB_TOKEN")),
    "github_copilot": Host(
        base="https://api.githubcopilot.com",
        keys=("GITHUB_COPILOT_API_KEY", "GITHUB_COPILOT_TOKEN"),
        headers={"copilot-integration-id": "vscode-chat"},
    ),
    "databricks": Host(
        base="{DATABRICKS_HOST}/serving-endpoints",
        keys=("DATABRICKS_API_KEY", "DATABRICKS_TOKEN"),
        manner=Manner(host="Databricks", stream_options=False, cache_control=True),
    ),
    "snowflake": Host(
        base="{SNOWFLAKE_ACCOUNT}.snowflakecomputing.com/api/v2/cortex/v1",
        keys=("SNOWFLAKE_API_KEY", "SNOWFLAKE_PAT", "SNOWFLAKE_JWT"),
        manner=replace(_GATEWAY, host="Snowflake Cortex", passes=HOST_SAMPLING),
    ),
    "cloudflare": Host(
        base="https://api.cloudflare.com/client/v4/accounts/{CLOUDFLARE_ACCOUNT_ID}/ai/v1",
        keys=("CLOUDFLARE_API_KEY", "CLOUDFLARE_API_TOKEN"),
    ),
    "bedrock_mantle": Host(
        base="https://bedrock-mantle.{AWS_REGION}.api.aws/v1",
        keys=("AWS_BEARER_TOKEN_BEDROCK",),
        manner=Manner(host="Bedrock", passes=HOST_SAMPLING | _TIERS),
    ),
    "gemini_openai": Host(
        base="https://generativelanguage.googleapis.com/v1beta/openai",
        keys=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        manner=Manner(host="Gemini's OpenAI endpoint", maker="gemini-compatible", passes=SAMPLING | {"extra_body"}),
    ),
    "litellm_proxy": Host(base="", keys=("LITELLM_PROXY_API_KEY",), manner=replace(OPENAI, host="LiteLLM")),
    # ---- one's own, at the ports that these programs listen on unless told otherwise.
    "ollama": Host(
        base="http://localhost:11434/v1",
        keys=("OLLAMA_API_KEY",),
        manner=Manner(host="Ollama", maker="ollama", returns_reasoning="reasoning"),
    ),
    "lm_studio": Host(base="http://localhost:1234/v1", keys=("LM_STUDIO_API_KEY",), manner=_TEMPLATED),
    "llamacpp": Host(base="http://localhost:8080/v1", keys=("LLAMACPP_API_KEY",), manner=_TEMPLATED),
    "llamafile": Host(base="http://localhost:8080/v1", keys=("LLAMAFILE_API_KEY",), manner=_TEMPLATED),
    "mistralrs": Host(base="http://localhost:1234/v1", keys=("MISTRALRS_API_KEY",), manner=_TEMPLATED),
    "hosted_vllm": Host(base="", keys=("HOSTED_VLLM_API_KEY",), manner=_TEMPLATED),
    "vllm": Host(base="", keys=("VLLM_API_KEY",), manner=_TEMPLATED),
    "gpustack": Host(base="", keys=("GPUSTACK_API_KEY",), manner=replace(_TEMPLATED, effort="switch")),
    "xinference": Host(base="", keys=("XINFERENCE_API_KEY",), manner=_TEMPLATED),
    "docker_model_runner": Host(base="http://localhost:12434/engines/llama.cpp/v1", manner=_TEMPLATED),
    "openai_like": Host(base="", keys=("OPENAI_LIKE_API_KEY",)),
    "custom_openai": Host(base="", keys=("CUSTOM_OPENAI_API_KEY", "OPENAI_LIKE_API_KEY")),
}

SAME: Mapping[str, str] = {
    "together": "together_ai",
    "fireworks": "fireworks_ai",
    "vercel": "vercel_ai_gateway",
    "alibaba": "dashscope",
    "qwen": "dashscope",
    "nvidia": "nvidia_nim",
    "featherless": "featherless_ai",
    "z_ai": "zai",
    "ollama_chat": "ollama",
    "lmstudio": "lm_studio",
    "llama_cpp": "llamacpp",
    "copilot": "github_copilot",
    "openai_compatible": "openai_like",
    "perplexity_ai": "perplexity",
}
"""Other names under which people know them."""
