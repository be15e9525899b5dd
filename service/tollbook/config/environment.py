"""What the environment alone offers: a gateway without a configuration file serves every provider that has credentials there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# provider -> sets of variables, one of which must be complete. The variables are those that the providers read themselves.
CREDENTIALS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "openai": (("OPENAI_API_KEY",),),
    "anthropic": (("ANTHROPIC_API_KEY",),),
    "gemini": (("GEMINI_API_KEY",), ("GOOGLE_API_KEY",)),
    "vertex_ai": tuple(
        (project, location)
        for project in ("VERTEXAI_PROJECT", "GOOGLE_CLOUD_PROJECT")
        for location in ("VERTEXAI_LOCATION", "GOOGLE_CLOUD_LOCATION")
    ),
    "bedrock": tuple(
        (*credentials, region)
        for credentials in (
            ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
            ("AWS_PROFILE",),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"),
            ("AWS_BEARER_TOKEN_BEDROCK",),
            ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI",),
        )
        for region in ("AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION")
    ),
    "azure": (
        ("AZURE_API_BASE", "AZURE_API_KEY"),
        ("AZURE_API_BASE", "AZURE_AD_TOKEN"),
        ("AZURE_API_BASE", "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"),
    ),
    "azure_ai": (("AZURE_AI_API_BASE", "AZURE_AI_API_KEY"),),
    "cohere": (("COHERE_API_KEY",), ("CO_API_KEY",)),
    "groq": (("GROQ_API_KEY",),),
    "mistral": (("MISTRAL_API_KEY",),),
    "deepseek": (("DEEPSEEK_API_KEY",),),
    "xai": (("XAI_API_KEY",),),
    "openrouter": (("OPENROUTER_API_KEY",),),
    "together_ai": (("TOGETHERAI_API_KEY",), ("TOGETHER_API_KEY",)),
    "fireworks_ai": (("FIREWORKS_AI_API_KEY",), ("FIREWORKS_API_KEY",)),
    "perplexity": (("PERPLEXITYAI_API_KEY",), ("PERPLEXITY_API_KEY",)),
    "cerebras": (("CEREBRAS_API_KEY",),),
    "dashscope": (("DASHSCOPE_API_KEY",),),
    "deepinfra": (("DEEPINFRA_API_KEY",),),
    "hyperbolic": (("HYPERBOLIC_API_KEY",),),
    "minimax": (("MINIMAX_API_KEY",),),
    "moonshot": (("MOONSHOT_API_KEY",),),
    "nebius": (("NEBIUS_API_KEY",),),
    "novita": (("NOVITA_API_KEY",),),
    "nvidia_nim": (("NVIDIA_NIM_API_KEY",),),
    "sambanova": (("SAMBANOVA_API_KEY",),),
    "vercel_ai_gateway": (("VERCEL_AI_GATEWAY_API_KEY",), ("AI_GATEWAY_API_KEY",)),
    "zai": (("ZAI_API_KEY",),),
}

# Bare names, so that `model="gpt-4o"` works as it does with the provider itself.
_BARE: Mapping[str, tuple[str, ...]] = {
    "openai": ("gpt-*", "o1*", "o3*", "o4*"),
    "anthropic": ("claude-*",),
    "gemini": ("gemini-*",),
}


def offered(environment: Mapping[str, str]) -> list[str]:
    """The providers that have credentials, and the simulated one, which needs none."""
    found = [
        provider
        for provider, ways in CREDENTIALS.items()
        if any(all(environment.get(name) for name in way) for way in ways)
    ]
    return [*found, "simulated"]


def model_list(environment: Mapping[str, str]) -> list[dict[str, Any]]:
    """A wildcard for each provider on offer, in the shape of the file's `model_list`."""
    wildcards = [(f"{provider}/*", f"{provider}/*") for provider in offered(environment)]
    for provider in offered(environment):
        wildcards += [(bare, f"{provider}/{bare}") for bare in _BARE.get(provider, ())]
    return [{"model_name": name, "litellm_params": {"model": model}} for name, model in wildcards]
