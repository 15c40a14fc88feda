"""Deployments at AWS and Google Cloud, from what a configuration file says of them.

Which adapter, which host and whose credentials are decided here; the keys are LiteLLM's.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import orjson

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.bedrock import BedrockConverse
from responses_mw.adapters.bedrock_encode import Guardrail
from responses_mw.adapters.bedrock_invoke import BedrockInvoke
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.chat_dialects import GENERIC
from responses_mw.adapters.gemini import Gemini
from responses_mw.adapters.gemini_encode import VERTEX_AI
from responses_mw.adapters.vertex import VertexClaude, base_url
from responses_mw.aws_auth import AWSIdentity, aws_auth, aws_region, bedrock_url
from responses_mw.config_table import Table
from responses_mw.errors import ConfigurationError
from responses_mw.google_auth import GoogleAuth, google_project
from responses_mw.places import Place, Served, address
from responses_mw.routing.deployments import WILDCARD
from responses_mw.transport import Auth

_LOCATION_VARIABLES = ("VERTEXAI_LOCATION", "GOOGLE_CLOUD_LOCATION")
_TRACES: Sequence[Literal["enabled", "disabled", "enabled_full"]] = (
    "enabled",
    "disabled",
    "enabled_full",
)
_STREAM_MODES: Sequence[Literal["sync", "async"]] = ("sync", "async")


# --- AWS


def bedrock(name: str, params: Table, base_model: str | None) -> Served:
    """`NAME`, `converse/NAME`, or `invoke/NAME` for Claude's own format; of `invoke/*`, what is not
    Claude is asked by Converse.

    A `model_id` (an ARN) is what is asked for then, and NAME says how it wants to be asked.
    """
    form, _, rest = name.partition("/")
    form, name = (form, rest) if form in ("converse", "invoke") and rest else ("converse", name)
    base_model = base_model or params.text("base_model")
    model_id = params.text("model_id")
    if model_id is not None:
        name, base_model = model_id, base_model or name
    guardrail = _guardrail(params.table("guardrailConfig"))
    region, auth = _aws(name, params)
    endpoint = address(params, "aws_bedrock_runtime_endpoint", "api_base")
    place = Place(bedrock_url(region, endpoint), auth=auth)
    converse = Served(BedrockConverse(base_model=base_model, guardrail=guardrail), place, name)
    if form == "converse":
        return converse
    invoked = Served(BedrockInvoke(guardrail=guardrail), place, name)
    if "claude" in (base_model or name).lower():
        return invoked
    if WILDCARD in name:
        return replace(converse, claude=invoked)
    raise ConfigurationError(
        f"{params.path}.model: invoke/ is for Claude; call others by bedrock/NAME, or say in "
        "base_model which Claude this is"
    )


def bedrock_mantle(name: str, params: Table, *, responses: bool) -> Served:
    """Bedrock's OpenAI-compatible addresses: one for Responses, one for chat completions."""
    region, auth = _aws(name, params, service="bedrock-mantle")
    path = "/openai/v1" if responses else "/v1"
    url = address(params) or f"https://bedrock-mantle.{region}.api.aws{path}"
    adapter = ChatCompletions(replace(GENERIC, name="bedrock_mantle"))
    return Served(adapter, Place(url, auth=auth), name)


def _aws(name: str, params: Table, *, service: str = "bedrock") -> tuple[str, Auth]:
    """The region and what proves who asks."""
    api_key, profile = params.text("api_key"), params.text("aws_profile_name")
    region = aws_region(name, region=params.text("aws_region_name"), profile=profile)
    named = {
        "access_key_id": params.text("aws_access_key_id"),
        "secret_access_key": params.text("aws_secret_access_key"),
        "session_token": params.text("aws_session_token"),
        "profile": profile,
        "role_arn": params.text("aws_role_name"),
        "role_session_name": params.text("aws_session_name"),
    }
    if (named["access_key_id"] is None) != (named["secret_access_key"] is None):
        raise ConfigurationError(
            f"{params.path}: aws_access_key_id and aws_secret_access_key belong together"
        )
    given = {key: value for key, value in named.items() if value is not None}
    identity = AWSIdentity(**given) if given else None
    return region, aws_auth(region=region, service=service, api_key=api_key, identity=identity)


def _guardrail(params: Table) -> Guardrail | None:
    if not params.keys:
        return None
    guardrail = Guardrail(
        id=params.required_text("guardrailIdentifier"),
        version=params.required_text("guardrailVersion"),
        trace=params.one_of("trace", _TRACES),
        stream_mode=params.one_of("streamProcessingMode", _STREAM_MODES),
    )
    params.finish()
    return guardrail


# --- Google Cloud


def vertex_ai(name: str, params: Table) -> Served:
    """Google's own models, and Claude by its name; a wildcard may mean both."""
    gemini = Gemini(name="vertex_ai", surface=VERTEX_AI)
    key = params.text("api_key")
    if key is not None:
        return Served(gemini, _express(name, params, key), name)
    credentials = _google_credentials(params)
    project, location = _vertex(params, "project"), _vertex(params, "location")
    for variable in _LOCATION_VARIABLES:
        location = location or os.environ.get(variable)
    project, host = project or google_project(credentials), address(params)
    auth = GoogleAuth(credentials=credentials)

    def at(version: str) -> Place:
        url = base_url(project, location or "global", version=version, host=host)
        return Place(url, auth=auth)

    messages = AnthropicMessages(name="vertex_ai", server_tools=frozenset({"web_search"}))
    claude = Served(VertexClaude(messages=messages), at("v1"), name)
    if name.startswith("claude"):
        return claude
    return Served(gemini, at("v1beta1"), name, claude if WILDCARD in name else None)


def _vertex(params: Table, key: str) -> str | None:
    return params.text(f"vertex_{key}") or params.text(f"vertex_ai_{key}")


def _google_credentials(params: Table) -> str | None:
    """A path, JSON, or what that JSON says written as part of the file: then it is JSON here."""
    for key in ("vertex_credentials", "vertex_ai_credentials"):
        if params.is_table(key):
            return orjson.dumps(params.mapping(key)).decode()
        if (given := params.text(key)) is not None:
            return given
    return None


def _express(name: str, params: Table, key: str) -> Place:
    """Vertex AI's express mode: a key stands for a project, and Google's own models are served."""
    for beside in ("vertex_project", "vertex_location", "vertex_credentials"):
        if params.has(beside):
            raise ConfigurationError(
                f"{params.path}: with an api_key (express mode) there is no {beside}; leave out "
                "one of the two"
            )
    if name.startswith("claude"):
        raise ConfigurationError(
            f"{params.path}.api_key: Claude is not served to keys; set vertex_project and, where "
            "the default ones are not meant, vertex_credentials"
        )
    host = address(params) or "https://aiplatform.googleapis.com"
    return Place(f"{host.rstrip('/')}/v1beta1", {"x-goog-api-key": key})
