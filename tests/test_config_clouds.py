"""Deployments at AWS, Google Cloud and Azure: which address is asked, how, and as whom."""

import json
from pathlib import Path
from typing import Any

import pytest
from test_config import SECRET, entry, one, refusal

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.bedrock import BedrockConverse
from responses_mw.adapters.bedrock_invoke import BedrockInvoke
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.gemini import Gemini
from responses_mw.adapters.openai_responses import OpenAIResponses
from responses_mw.adapters.vertex import VertexClaude
from responses_mw.config import load
from responses_mw.turn import Span, Turn

ARN = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc123"
RUNTIME = "https://bedrock-runtime.us-east-1.amazonaws.com"
VERTEX = "https://us-east5-aiplatform.googleapis.com"
FOUNDRY = "https://r.services.ai.azure.com"
HELLO = Span(
    [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}]
)


@pytest.fixture(autouse=True)
def without_the_clouds_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "AWS_ACCESS_KEY_ID", "AWS_BEARER_TOKEN_BEDROCK", "AWS_DEFAULT_REGION", "AWS_PROFILE",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AZURE_AI_API_BASE", "AZURE_AI_API_KEY",
        "GEMINI_API_KEY", "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_LOCATION",
        "GOOGLE_CLOUD_PROJECT", "VERTEXAI_LOCATION", "VERTEXAI_PROJECT",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_REGION", "us-east-1")


def asked(model: str, **params: Any) -> tuple[Any, str]:
    """The provider, and the address that a streamed turn goes to."""
    deployment = one(model, **params)
    turn = Turn(model=deployment.model, spans=[HELLO], stream=True)
    provider = deployment.provider
    return provider, provider.base_url + provider.adapter.encode(turn).path


async def borne(provider: Any) -> dict[str, str]:
    """The headers that prove who asks."""
    headers = dict(provider._headers)
    if provider._auth is not None:
        headers |= await provider._auth("POST", "https://h/x", {"host": "h"}, b"{}")
    return {name.lower(): value for name, value in headers.items()}


# --- AWS


@pytest.mark.parametrize(
    ("model", "params", "adapter", "address"),
    [
        (
            "bedrock/us.amazon.nova-lite-v1:0",
            {},
            BedrockConverse,
            f"{RUNTIME}/model/us.amazon.nova-lite-v1%3A0/converse-stream",
        ),
        (
            "bedrock/converse/us.amazon.nova-lite-v1:0",
            {"aws_region_name": "eu-west-1"},
            BedrockConverse,
            "https://bedrock-runtime.eu-west-1.amazonaws.com"
            "/model/us.amazon.nova-lite-v1%3A0/converse-stream",
        ),
        (
            "bedrock/invoke/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            {"aws_bedrock_runtime_endpoint": "http://127.0.0.1:9"},
            BedrockInvoke,
            "http://127.0.0.1:9/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0"
            "/invoke-with-response-stream",
        ),
        (
            f"bedrock/{ARN}",
            {"base_model": "anthropic.claude-sonnet-4-5-20250929-v1:0"},
            BedrockConverse,
            "https://bedrock-runtime.eu-west-1.amazonaws.com/model/"
            f"{ARN.replace(':', '%3A').replace('/', '%2F')}/converse-stream",
        ),
        (
            "bedrock_mantle/openai.gpt-oss-120b",
            {},
            OpenAIResponses,
            "https://bedrock-mantle.us-east-1.api.aws/openai/v1/responses",
        ),
        (
            "bedrock_mantle/openai.gpt-oss-120b",
            {"use_chat_completions_api": True},
            ChatCompletions,
            "https://bedrock-mantle.us-east-1.api.aws/v1/chat/completions",
        ),
    ],
)
def test_a_model_at_aws_has_its_format_and_address(
    model: str, params: dict[str, Any], adapter: type, address: str
) -> None:
    provider, url = asked(model, api_key=SECRET, **params)

    assert isinstance(provider.adapter, adapter)
    assert url == address
    assert SECRET not in repr(provider)


def test_a_profile_of_ones_own_is_asked_as_the_model_behind_it() -> None:
    claude = "anthropic.claude-sonnet-4-5-20250929-v1:0"
    info = {"model_info": {"base_model": claude}}
    [by_info] = load({"model_list": [{**entry(f"bedrock/{ARN}", api_key="k"), **info}]}).models["m"]
    by_id = one(f"bedrock/{claude}", model_id=ARN, api_key="k")
    plain = one(f"bedrock/{claude}", api_key="k")

    def body(deployment: Any) -> Any:
        turn = Turn(model=deployment.model, spans=[HELLO], reasoning_effort="high")
        return deployment.provider.adapter.encode(turn).body

    assert by_info.model == by_id.model == ARN
    assert body(by_info) == body(by_id) == body(plain)
    assert "thinking" in body(plain)["additionalModelRequestFields"]


async def test_aws_is_asked_with_a_key_or_with_a_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    nova = "bedrock/amazon.nova-lite-v1:0"
    keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": SECRET}

    by_key = await borne(one(nova, api_key="k").provider)
    signed = await borne(one(nova, **keys).provider)
    mantle = await borne(one("bedrock_mantle/x", **keys).provider)
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "of the environment")
    usual = await borne(one(nova).provider)

    assert by_key["authorization"] == "Bearer k"
    assert usual["authorization"] == "Bearer of the environment"
    assert "Credential=AKIDEXAMPLE/" in signed["authorization"]
    assert "/us-east-1/bedrock/aws4_request" in signed["authorization"]
    assert "/us-east-1/bedrock-mantle/aws4_request" in mantle["authorization"]


def test_a_guardrail_is_sent_with_every_request() -> None:
    guard = {"guardrailIdentifier": "g", "guardrailVersion": "1", "trace": "enabled"}
    provider = one("bedrock/amazon.nova-lite-v1:0", api_key="k", guardrailConfig=guard).provider
    invoked = one("bedrock/invoke/claude-3", api_key="k", guardrailConfig=guard).provider

    assert provider.adapter.encode(Turn(model="m", spans=[HELLO])).body["guardrailConfig"] == guard
    headers = invoked.adapter.encode(Turn(model="claude-3", spans=[HELLO])).headers
    assert headers["x-amzn-bedrock-guardrailidentifier"] == "g"


# --- Google


@pytest.mark.parametrize(
    ("model", "params", "adapter", "address"),
    [
        (
            "gemini/gemini-2.5-pro",
            {"api_key": "k"},
            Gemini,
            "https://generativelanguage.googleapis.com/v1beta"
            "/models/gemini-2.5-pro:streamGenerateContent?alt=sse",
        ),
        (
            "gemini/gemini-2.5-pro",
            {"api_base": "http://127.0.0.1:9"},
            Gemini,
            "http://127.0.0.1:9/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse",
        ),
        (
            "vertex_ai/gemini-3-pro",
            {"vertex_project": "p", "vertex_location": "us-east5"},
            Gemini,
            f"{VERTEX}/v1beta1/projects/p/locations/us-east5"
            "/publishers/google/models/gemini-3-pro:streamGenerateContent?alt=sse",
        ),
        (
            "vertex_ai/gemini-3-pro",
            {"vertex_project": "p", "api_base": "http://127.0.0.1:9"},
            Gemini,
            "http://127.0.0.1:9/v1beta1/projects/p/locations/global"
            "/publishers/google/models/gemini-3-pro:streamGenerateContent?alt=sse",
        ),
        (
            "vertex_ai/claude-sonnet-4-5@20250929",
            {"vertex_project": "p", "vertex_location": "us-east5"},
            VertexClaude,
            f"{VERTEX}/v1/projects/p/locations/us-east5"
            "/publishers/anthropic/models/claude-sonnet-4-5@20250929:streamRawPredict",
        ),
    ],
)
def test_a_model_at_google_has_its_format_and_address(
    model: str, params: dict[str, Any], adapter: type, address: str
) -> None:
    provider, url = asked(model, **params)

    assert isinstance(provider.adapter, adapter)
    assert url == address


def test_googles_key_goes_out_in_its_own_header_and_to_its_own_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", SECRET)
    usual, elsewhere = one("gemini/x"), one("gemini/x", api_base="http://127.0.0.1:9/v1beta")
    assert usual.provider._headers["x-goog-api-key"] == SECRET
    assert SECRET not in elsewhere.provider._headers.values()


def test_the_project_and_the_place_may_be_said_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key.json"
    file.write_text(json.dumps({"type": "service_account", "project_id": "of-the-file"}))
    monkeypatch.setenv("VERTEXAI_PROJECT", "of-the-environment")
    monkeypatch.setenv("VERTEXAI_LOCATION", "europe-west4")

    _, by_file = asked("vertex_ai/gemini-3-pro", vertex_credentials=str(file))
    _, by_variable = asked("vertex_ai/gemini-3-pro")

    assert "/projects/of-the-file/locations/europe-west4/" in by_file
    assert "/projects/of-the-environment/locations/europe-west4/" in by_variable
    assert by_variable.startswith("https://europe-west4-aiplatform.googleapis.com/")


# --- Azure


@pytest.mark.parametrize(
    ("model", "params", "adapter", "address"),
    [
        ("azure_ai/grok-4", {"api_base": FOUNDRY}, ChatCompletions, "/openai/v1/chat/completions"),
        (
            "azure_ai/gpt-5",
            {"api_base": f"{FOUNDRY}/openai/v1/", "use_responses_api": True},
            OpenAIResponses,
            "/openai/v1/responses",
        ),
        (
            "azure_ai/grok-4",
            {"api_base": f"{FOUNDRY}/models"},
            ChatCompletions,
            "/models/chat/completions?api-version=2024-05-01-preview",
        ),
        (
            "azure_ai/grok-4",
            {"api_base": f"{FOUNDRY}/models/chat/completions?api-version=2025-01-01"},
            ChatCompletions,
            "/models/chat/completions?api-version=2025-01-01",
        ),
        (
            "azure_ai/grok-4",
            {"api_base": FOUNDRY, "api_version": "2025-01-01"},
            ChatCompletions,
            "/models/chat/completions?api-version=2025-01-01",
        ),
        (
            "azure_ai/claude-opus-4-5",
            {"api_base": FOUNDRY},
            AnthropicMessages,
            "/anthropic/v1/messages",
        ),
        (
            "azure_ai/my-opus",
            {"api_base": f"{FOUNDRY}/anthropic/v1/messages"},
            AnthropicMessages,
            "/anthropic/v1/messages",
        ),
        (
            "azure/my-4o",
            {
                "api_base": FOUNDRY,
                "api_version": "2024-02-01",
                "use_chat_completions_api": True,
            },
            ChatCompletions,
            "/openai/deployments/my-4o/chat/completions?api-version=2024-02-01",
        ),
    ],
)
def test_a_model_at_azure_has_its_format_and_address(
    model: str, params: dict[str, Any], adapter: type, address: str
) -> None:
    provider, url = asked(model, api_key=SECRET, **params)

    assert isinstance(provider.adapter, adapter)
    assert url == FOUNDRY + address
    assert provider._headers["api-key"] == SECRET
    assert ("x-api-key" in provider._headers) is (adapter is AnthropicMessages)
    assert provider.name == model.partition("/")[0]


def test_foundrys_older_address_is_asked_in_the_words_it_knows() -> None:
    turn = {"spans": [HELLO], "max_output_tokens": 9}
    models = f"{FOUNDRY}/models"
    older = one("azure_ai/llama", api_base=models, api_key="k").provider.adapter
    gpt = one("azure_ai/gpt-5-nano", api_base=models, api_key="k").provider.adapter
    assert older.encode(Turn(model="llama", **turn)).body["max_tokens"] == 9
    assert gpt.encode(Turn(model="gpt-5-nano", **turn)).body["max_completion_tokens"] == 9


# --- anybody


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/"])
def test_an_address_that_ends_in_the_adapters_path_does_not_get_it_twice(end: str) -> None:
    _, url = asked("anthropic/claude-x", api_base=f"http://127.0.0.1:9/proxy{end}", api_key="k")
    assert url == "http://127.0.0.1:9/proxy/v1/messages"


@pytest.mark.parametrize(
    ("params", "said"),
    [
        (
            {"model": "bedrock/invoke/amazon.nova-lite-v1:0", "api_key": SECRET},
            "litellm_params.model: invoke/ is for Claude",
        ),
        (
            {"model": "bedrock/x", "aws_secret_access_key": SECRET},
            "aws_access_key_id and aws_secret_access_key belong together",
        ),
        (
            {"model": "bedrock/x", "api_key": SECRET, "aws_bedrock_runtime_endpoint": SECRET},
            "aws_bedrock_runtime_endpoint is not an http:// or https:// address",
        ),
        (
            {
                "model": "bedrock/x",
                "api_key": SECRET,
                "guardrailConfig": {
                    "guardrailIdentifier": "g",
                    "guardrailVersion": "1",
                    "trace": SECRET,
                },
            },
            "guardrailConfig.trace must be one of enabled, disabled, enabled_full",
        ),
        (
            {"model": "bedrock/x", "api_key": SECRET, "guardrailConfig": {"trace": "enabled"}},
            "guardrailConfig.guardrailIdentifier is missing",
        ),
        ({"model": "vertex_ai/gemini-3"}, "no Google Cloud project: set vertex_project"),
        (
            {"model": "vertex_ai/gemini-3", "vertex_credentials": f'{{"{SECRET}'},
            "the Google credentials cannot be read",
        ),
        (
            {"model": "vertex_ai/x", "vertex_project": "p", "api_base": f"http://[{SECRET}"},
            "api_base is not an http:// or https:// address",
        ),
        ({"model": "azure_ai/x", "api_key": SECRET}, "litellm_params.api_base is missing"),
        (
            {
                "model": "azure_ai/x",
                "api_key": SECRET,
                "api_base": f"{FOUNDRY}/models",
                "use_responses_api": True,
            },
            "Foundry's /models speaks chat completions",
        ),
    ],
)
def test_what_is_wrong_is_named_and_no_secret_is(params: dict[str, Any], said: str) -> None:
    assert said in refusal({"model_list": [{"model_name": "m", "litellm_params": params}]})


def test_a_profile_without_a_region_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "absent"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "absent"))
    assert "no AWS region for 'x'" in refusal({"model_list": [entry("bedrock/x", api_key=SECRET)]})
    assert "there is no AWS profile 'blue'" in refusal(
        {"model_list": [entry("bedrock/x", api_key=SECRET, aws_profile_name="blue")]}
    )
