"""Amazon Bedrock: every model through Converse, Claude also through InvokeModel, OpenAI's models also in their own API.

    <model>             {base}/model/<model>/converse            also as converse/<model>
    invoke/<model>      {base}/model/<model>/invoke              Claude's Messages API
    responses/<model>   {mantle}/responses                       also as openai/<model>, mantle/<model>
    chat/<model>        {mantle}/chat/completions

`<model>` is a model id, the id of an inference profile, or an ARN; `<region>/<model>` says the region too.
https://docs.aws.amazon.com/bedrock/latest/userguide/bedrock-runtime.html and .../bedrock-mantle.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

from tollbook.auth.header import bearer
from tollbook.auth.sigv4 import SigV4Auth
from tollbook.config import Deployment
from tollbook.dialects import chat, converse, responses
from tollbook.dialects.converse import invoke
from tollbook.errors import ConfigError

from . import Endpoint

if TYPE_CHECKING:
    import httpx

PROVIDER = "bedrock"
KEY_VARIABLES = ("AWS_BEARER_TOKEN_BEDROCK", "AWS_ACCESS_KEY_ID", "AWS_PROFILE")

_REGION_VARIABLES = ("AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION")
_BASE_VARIABLES = ("AWS_BEDROCK_RUNTIME_ENDPOINT", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_ARN = re.compile(r"arn:[^:]+:bedrock:([^:]+):")
_ROUTES = {"converse": "converse", "invoke": "invoke", "chat": "chat"}
_ROUTES |= dict.fromkeys(("responses", "openai", "mantle"), "responses")


def endpoint(deployment: Deployment, environment: Mapping[str, str]) -> Endpoint:
    """Raises ConfigError when no region is told, or credentials are given in a way that is not understood."""
    route, model, region = _place(deployment, environment)
    base = deployment.api_base or deployment.options.get("aws_bedrock_runtime_endpoint")
    adjust = None
    if route in ("responses", "chat"):
        # The open-weight models live under /v1, OpenAI's own under /openai/v1.
        path = "openai/v1" if model.startswith("openai.") and "gpt-oss" not in model else "v1"
        base = deployment.api_base or f"https://bedrock-mantle.{_needed(region, deployment)}.api.aws/{path}"
        url = stream_url = base.rstrip("/") + ("/responses" if route == "responses" else "/chat/completions")
        auth, scheme = _auth(deployment, environment, region, "bedrock-mantle")
        adjust = lambda body: {**body, "model": model}  # noqa: E731 - the name without its prefixes
    else:
        if route == "invoke" and "claude" not in model and not model.startswith("arn:"):
            raise ConfigError(f"Deployment {deployment.name!r}: invoke/ is for Claude, converse/ for every model.")
        base = base or next((environment[name] for name in _BASE_VARIABLES if environment.get(name)), None)
        base = str(base or f"https://bedrock-runtime.{_needed(region, deployment)}.amazonaws.com").rstrip("/")
        # A colon stays: HTTP clients write %3A as ":" on the wire, and what was signed must be what arrives.
        url = f"{base}/model/{quote(model, safe=':')}/{route}"
        stream_url = url + ("-stream" if route == "converse" else "-with-response-stream")
        auth, scheme = _auth(deployment, environment, region, "bedrock")
    return Endpoint(
        provider=PROVIDER,
        dialect={"converse": converse, "invoke": invoke, "responses": responses, "chat": chat}[route],
        url=url,
        stream_url=stream_url,
        headers=dict(deployment.extra_headers),
        auth=auth,
        framing="sse" if adjust else "eventstream",
        adjust=adjust,
        stored_url=url if route == "responses" else "",
        propagate=deployment.propagate_trace,
        auth_scheme=scheme,
    )


def _place(deployment: Deployment, environment: Mapping[str, str]) -> tuple[str, str, str | None]:
    """Route, model and region."""
    route, model, region = "converse", deployment.model, deployment.options.get("aws_region_name")
    first, slash, rest = model.partition("/")
    if slash and first in _ROUTES:
        route, model = _ROUTES[first], rest
    first, slash, rest = model.partition("/")
    if slash and _REGION.fullmatch(first):
        region, model = region or first, rest
    found = _ARN.match(model)
    region = region or (found[1] if found else None)
    region = region or next((environment[name] for name in _REGION_VARIABLES if environment.get(name)), None)
    return route, model, region


def _auth(
    deployment: Deployment, environment: Mapping[str, str], region: str | None, service: str
) -> tuple[httpx.Auth, str]:
    """The deployment's own key or keys, then the environment's, then whatever botocore finds."""
    options, name = deployment.options, deployment.name
    if options.get("aws_role_name") or options.get("aws_web_identity_token"):
        raise ConfigError(
            f"Deployment {name!r}: roles are assumed by a profile. Put role_arn with source_profile or "
            "web_identity_token_file into ~/.aws/config and name that profile with aws_profile_name."
        )
    own, profile = options.get("aws_access_key_id"), options.get("aws_profile_name")
    key = deployment.api_key or (None if own or profile else environment.get("AWS_BEARER_TOKEN_BEDROCK"))
    if key:
        return bearer(key), "bearer"
    keys = {k.lower(): v for k, v in environment.items() if k.startswith("AWS_")} if not profile else {}
    keys = dict(options) if own else keys
    if bool(keys.get("aws_access_key_id")) != bool(keys.get("aws_secret_access_key")):
        raise ConfigError(f"Deployment {name!r}: of aws_access_key_id and aws_secret_access_key one is missing.")
    secrets = {"access_key": "aws_access_key_id", "secret_key": "aws_secret_access_key", "token": "aws_session_token"}
    given = {argument: keys.get(option) for argument, option in secrets.items()}
    return SigV4Auth(_needed(region, deployment), service, profile=profile, **given), "sigv4"


def _needed(region: str | None, deployment: Deployment) -> str:
    if region is None:
        places = ", ".join(_REGION_VARIABLES)
        raise ConfigError(f"Deployment {deployment.name!r} has no AWS region: set aws_region_name, or one of {places}.")
    return region
