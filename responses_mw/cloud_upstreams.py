"""Deployments at AWS and Google Cloud, from what a configuration file says of them.

Which adapter, which host and whose credentials are decided here; the keys are LiteLLM's.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.base import Adapter
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
    """`NAME`, `converse/NAME`, or `invoke/NAME` for Claude's own format.

    A `model_id` (an ARN) is what is asked for then, and NAME says how it wants to be asked.
    """
    form, _, rest = name.partition("/")
    form, name = (form, rest) if form in ("converse", "invoke") and rest else ("converse", name)
    base_model = base_model or params.text("base_model")
    model_id = params.text("model_id")
    if model_id is not None:
        name, base_model = model_id, base_model or name
    guardrail = _guardrail(params.table("guardrailConfig"))
    adapter: Adapter = BedrockConverse(base_model=base_model, guardrail=guardrail)
    if form == "invoke":
        if "claude" not in (base_model or name).lower():
            raise ConfigurationError(
                f"{params.path}.model: invoke/ is for Claude; call others by bedrock/NAME, or say "
                "in base_model which Claude this is"
            )
        adapter = BedrockInvoke(guardrail=guardrail)
    region, auth = _aws(name, params)
    endpoint = address(params, "aws_bedrock_runtime_endpoint", "api_base")
    return Served(adapter, Place(bedrock_url(region, endpoint), auth=auth), name)


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
    """Google's own models, and Claude by its name."""
    credentials = params.text("vertex_credentials") or params.text("vertex_ai_credentials")
    project = params.text("vertex_project") or params.text("vertex_ai_project")
    location = params.text("vertex_location") or params.text("vertex_ai_location")
    for variable in _LOCATION_VARIABLES:
        location = location or os.environ.get(variable)
    adapter: Adapter = Gemini(name="vertex_ai", surface=VERTEX_AI)
    version = "v1beta1"
    if name.startswith("claude"):
        claude = AnthropicMessages(name="vertex_ai", server_tools=frozenset({"web_search"}))
        adapter, version = VertexClaude(messages=claude), "v1"
    url = base_url(
        project or google_project(credentials),
        location or "global",
        version=version,
        host=address(params),
    )
    return Served(adapter, Place(url, auth=GoogleAuth(credentials=credentials)), name)
