"""Files that LiteLLM takes are taken here, and mean the same."""

import datetime
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.openai_responses import OpenAIResponses
from responses_mw.config import Config, load
from responses_mw.errors import ConfigurationError
from responses_mw.router import Deployment
from responses_mw.transport import HTTPProvider

SESSION_CONTINUITY = """
model_list:
  - model_name: gpt
    litellm_params:
      model: azure/gpt-4
      api_key: k
      api_version: 2024-06-01
      api_base: https://endpoint1.openai.azure.com
router_settings:
  optional_pre_call_checks: ["responses_api_deployment_check"]
"""


def only(model: str, **entry: Any) -> Deployment:
    params = {"model": model, "api_key": "k", **entry.pop("params", {})}
    loaded = load({"model_list": [{"model_name": "m", "litellm_params": params, **entry}]})
    assert loaded.warnings == ()
    [deployment] = loaded.models["m"]
    return deployment


def asked(deployment: Deployment) -> HTTPProvider:
    assert isinstance(deployment.provider, HTTPProvider)
    return deployment.provider


def with_settings(**litellm: Any) -> Config:
    entry = {"model_name": "m", "litellm_params": {"model": "ollama/x"}}
    return load({"model_list": [entry], "litellm_settings": litellm})


def test_a_version_without_quotes_is_the_one_that_was_written() -> None:
    loaded = load(yaml.safe_load(SESSION_CONTINUITY))
    [deployment] = loaded.models["gpt"]

    adapter = asked(deployment).adapter

    assert isinstance(adapter, OpenAIResponses)
    assert adapter.api_version == "2024-06-01"
    assert loaded.warnings == ()


def test_a_time_is_no_text() -> None:
    moment = datetime.datetime(2024, 6, 1, tzinfo=datetime.UTC)
    params = {"api_base": "https://r.openai.azure.com", "api_version": moment}
    with pytest.raises(ConfigurationError, match="api_version is of type datetime"):
        only("azure/x", params=params)


def test_an_id_may_be_a_number() -> None:
    assert only("openai/gpt-5", model_info={"id": 7}).id == "7"


@pytest.mark.parametrize("place", ["litellm_params", "entry", "model_info"])
def test_limits_may_stand_in_three_places(place: str) -> None:
    limits = {"rpm": 6, "tpm": 1000}
    entry: dict[str, Any] = {"params": {"api_base": "http://h/v1"}}
    match place:
        case "entry":
            entry |= limits
        case "model_info":
            entry["model_info"] = limits
        case _:
            entry["params"] |= limits

    deployment = only("hosted_vllm/x", **entry)

    assert (deployment.rpm, deployment.tpm) == (6, 1000)


@pytest.mark.parametrize(
    ("model", "adapter", "name"),
    [
        ("openai/responses/gpt-5", OpenAIResponses, "gpt-5"),
        ("openai/responses/*", OpenAIResponses, "*"),
        ("openai/chat_completions/own", ChatCompletions, "own"),
        ("azure/responses/mine", OpenAIResponses, "mine"),
        ("azure/o_series/mine", OpenAIResponses, "mine"),
        ("azure/gpt5_series/mine", OpenAIResponses, "mine"),
    ],
)
def test_what_a_name_says_of_the_format_is_not_sent(model: str, adapter: type, name: str) -> None:
    params = {"model": model, "api_key": "k", "api_base": "https://h.example"}
    entry = {"model_name": "*" if "*" in model else "m", "litellm_params": params}
    [[deployment]] = load({"model_list": [entry]}).models.values()

    assert isinstance(asked(deployment).adapter, adapter)
    assert deployment.model == name


def test_a_name_with_slashes_of_its_own_keeps_them() -> None:
    assert only("openai/meta/llama", params={"api_base": "http://h/v1"}).model == "meta/llama"


def test_one_callback_needs_no_list() -> None:
    loaded = with_settings(callbacks="custom_callbacks.handler", success_callback="prometheus")
    assert loaded.settings.metrics
    [warning] = loaded.warnings
    assert "litellm_settings.callbacks: 'custom_callbacks.handler' is not supported" in warning


def test_the_cost_of_streams_is_asked_for_by_litellms_name() -> None:
    loaded = with_settings(include_cost_in_streaming_usage=True)
    assert loaded.settings.cost_in_usage
    assert loaded.warnings == ()


LITELLMS_OWN = {
    "litellm_params": ["itpm", "input_cost_per_token_priority", "s3_region_name", "client"],
    "model_info": ["output_cost_per_token_flex", "supports_image_input"],
    "router_settings": ["model_group_affinity_config", "enable_weighted_failover"],
    "litellm_settings": ["cold_storage_custom_logger", "s3_audit_callback_params"],
    "general_settings": ["store_prompts_in_cold_storage", "database_connect_timeout"],
}


@pytest.mark.parametrize(
    ("section", "key"),
    [(section, key) for section in LITELLMS_OWN for key in LITELLMS_OWN[section]],
)
def test_a_key_of_litellms_is_no_misspelt_one_of_ours(section: str, key: str) -> None:
    entry: dict[str, Any] = {"model_name": "m", "litellm_params": {"model": "ollama/x"}}
    file: dict[str, Any] = {"model_list": [entry]}
    if section == "litellm_params":
        entry[section][key] = 1
    else:
        (entry if section == "model_info" else file)[section] = {key: 1}

    [warning] = load(file).warnings

    assert warning.endswith(f"{key} is LiteLLM's and has no effect here")


GUARDED = {"guardrail_name": "pii", "litellm_params": {"guardrail": "presidio", "mode": "pre_call"}}
ALWAYS = {**GUARDED, "litellm_params": {**GUARDED["litellm_params"], "default_on": True}}


def guarded(path: str, guardrails: Any) -> dict[str, Any]:
    entry = {"model_name": "m", "litellm_params": {"model": "ollama/x"}}
    section, _, key = path.rpartition(".")
    return {
        "model_list": [entry],
        **({section: {key: guardrails}} if section else {key: guardrails}),
    }


@pytest.mark.parametrize(
    ("path", "guardrails", "named"),
    [
        ("guardrails", [GUARDED, ALWAYS], "guardrails[1]"),
        ("router_settings.guardrail_list", [ALWAYS], "router_settings.guardrail_list[0]"),
        (
            "litellm_settings.guardrails",
            [{"injection": {"callbacks": ["lakera"], "default_on": True}}],
            "litellm_settings.guardrails[0].injection",
        ),
    ],
)
def test_a_guardrail_that_would_always_run_stops_the_start(
    path: str, guardrails: list[Any], named: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(guarded(path, guardrails))
    message = str(caught.value)
    assert message.startswith(f"{named} is default_on, but ")
    assert "docs/hooks.md" in message
    assert "\n" not in message


def test_guardrails_of_a_model_stop_the_start() -> None:
    with pytest.raises(
        ConfigurationError, match=r"model_list\[0\]\.litellm_params\.guardrails are"
    ):
        only("ollama/x", params={"guardrails": ["pii"]})


@pytest.mark.parametrize(
    "path", ["guardrails", "router_settings.guardrail_list", "litellm_settings.guardrails"]
)
@pytest.mark.parametrize("guardrails", [[GUARDED], [], None, "pii", [None, "pii"], {"pii": 1}])
def test_a_guardrail_that_requests_ask_for_is_a_warning(path: str, guardrails: Any) -> None:
    [warning] = load(guarded(path, guardrails)).warnings
    assert warning == f"{path} is LiteLLM's and has no effect here"


def test_how_long_a_stream_may_be_silent_has_names_of_its_own() -> None:
    router = {"stream_timeout": 60, "ttft_timeout": 5, "stream_idle_timeout": 20}
    entry = {"model_name": "m", "litellm_params": {"model": "ollama/x"}}
    loaded = load({"model_list": [entry], "router_settings": router})
    assert (loaded.routing.first_delta_s, loaded.routing.idle_s) == (5, 20)
    assert loaded.warnings == ()


def test_the_model_behind_a_name_may_stand_in_either_table() -> None:
    base = {"base_model": "openai/gpt-5"}
    assert only("openai/own", params=base).base_model == "openai/gpt-5"
    assert only("openai/own", model_info=base).base_model == "openai/gpt-5"


def test_environment_variables_of_the_file_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWN_KEY", "before")
    monkeypatch.setenv("OWN_PORT", "1")
    params = {"model": "openai/gpt-5", "api_key": "os.environ/OWN_KEY"}
    file = {
        "environment_variables": {"OWN_KEY": "k", "OWN_PORT": 6379, "OWN_NOTHING": None},
        "model_list": [{"model_name": "m", "litellm_params": params}],
        "router_settings": {"redis_host": "r", "redis_port": "os.environ/OWN_PORT"},
    }

    loaded = load(file)

    assert asked(loaded.models["m"][0])._headers["authorization"] == "Bearer k"
    assert loaded.routing.redis_url == "redis://r:6379/0"
    assert "OWN_NOTHING" not in os.environ
    assert loaded.warnings == ()


def test_a_credential_by_name_is_that_of_the_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARED_KEY", "shared")
    values = {"api_key": "os.environ/SHARED_KEY", "api_base": "https://r.openai.azure.com"}
    credential = {"credential_name": "ours", "credential_values": values, "credential_info": {}}
    own = {"model": "azure/a", "litellm_credential_name": "ours"}
    entries = [
        {"model_name": "m", "litellm_params": own},
        {"model_name": "m", "litellm_params": {**own, "api_key": "own"}},
    ]

    loaded = load({"model_list": entries, "credential_list": [credential]})

    keys = [asked(each)._headers["api-key"] for each in loaded.models["m"]]
    assert keys == ["shared", "own"]
    assert loaded.warnings == ()
    with pytest.raises(ConfigurationError, match="'ours', which is not in credential_list"):
        load({"model_list": entries})


def test_models_that_answer_with_something_else_are_left_out() -> None:
    entries = [
        {"model_name": "m", "litellm_params": {"model": "ollama/x"}},
        {
            "model_name": "e",
            "litellm_params": {"model": "voyage/voyage-01"},
            "model_info": {"mode": "embedding"},
        },
    ]
    loaded = load({"model_list": entries})
    assert list(loaded.models) == ["m"]
    [warning] = loaded.warnings
    assert warning == "model_list[1] is left out: its mode 'embedding' is not served here"


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("postgresql://u:p%40@h/d?connection_limit=5&sslmode=require&schema=public",
         "postgresql://u:p%40@h/d?sslmode=require"),
        ("postgres://u@h/d?pgbouncer=true", "postgres://u@h/d"),
    ],
)  # fmt: skip
def test_what_prisma_reads_in_an_address_is_not_told_to_postgres(given: str, taken: str) -> None:
    entry = {"model_name": "m", "litellm_params": {"model": "ollama/x"}}
    loaded = load({"model_list": [entry], "general_settings": {"database_url": given}})
    assert loaded.store_url == taken
    [warning] = loaded.warnings
    assert warning.startswith("general_settings.database_url: ")
    assert "u:p" not in warning


def test_an_address_without_prismas_words_is_left_as_it_is() -> None:
    entry = {"model_name": "m", "litellm_params": {"model": "ollama/x"}}
    for url in ("postgresql://u@/d?host=/run/p&sslmode=disable", "sqlite:///a.db?schema=x"):
        loaded = load({"model_list": [entry], "general_settings": {"database_url": url}})
        assert (loaded.store_url, loaded.warnings) == (url, ())


def test_a_file_may_include_others(tmp_path: Path) -> None:
    model = "model_list: [{{model_name: {0}, litellm_params: {{model: ollama/{0}}}}}]\n"
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "more.yaml").write_text(
        model.format("b") + "router_settings: {num_retries: 3}\n"
    )
    main = tmp_path / "config.yaml"
    main.write_text("include: [models/more.yaml]\n" + model.format("a"))

    loaded = load(main)

    assert list(loaded.models) == ["a", "b"]
    assert loaded.routing.retries == 3
    assert loaded.warnings == ()
    main.write_text("include: [absent.yaml]\n")
    with pytest.raises(ConfigurationError, match=r"absent\.yaml cannot be read"):
        load(main)
    main.write_text("include: more.yaml\n")
    with pytest.raises(ConfigurationError, match="include must be a list of files"):
        load(main)


@pytest.mark.parametrize("prefix", ["ollama_chat", "cohere_chat"])
def test_a_provider_may_have_two_names(prefix: str) -> None:
    assert asked(only(f"{prefix}/x")).name == prefix.removesuffix("_chat")


@pytest.mark.parametrize(
    ("params", "defaults"),
    [
        ({"temperature": 0.2, "top_p": "0.5"}, {"temperature": 0.2, "top_p": 0.5}),
        ({"max_tokens": 100}, {"max_output_tokens": 100}),
        ({"max_tokens": 100, "max_output_tokens": 50}, {"max_output_tokens": 50}),
        ({"reasoning_effort": "high"}, {"reasoning_effort": "high"}),
        (
            {"reasoning_effort": {"effort": "low", "summary": "auto"}},
            {"reasoning_effort": "low", "reasoning_summary": "auto"},
        ),
        ({"reasoning": {"effort": "low"}}, {"reasoning_effort": "low"}),
        (
            {"service_tier": "flex", "verbosity": "low"},
            {"service_tier": "flex", "verbosity": "low"},
        ),
    ],
)
def test_options_of_an_entry_are_its_defaults(
    params: dict[str, Any], defaults: dict[str, Any]
) -> None:
    assert only("openai/gpt-5", params=params).defaults == defaults


def test_an_effort_that_nobody_knows_is_said_to_be_none() -> None:
    with pytest.raises(ConfigurationError, match="reasoning_effort must be one of none, minimal"):
        only("openai/gpt-5", params={"reasoning_effort": "heroic"})


def test_defaults_of_the_router_are_those_of_entries_that_say_nothing() -> None:
    entries = [
        {"model_name": name, "litellm_params": {"model": "ollama/x", **params}}
        for name, params in (("a", {}), ("b", {"temperature": 1}))
    ]
    router = {"default_litellm_params": {"temperature": 0.2, "max_tokens": 9}}

    loaded = load({"model_list": entries, "router_settings": router})

    told = [loaded.models[name][0].defaults for name in "ab"]
    assert told == [
        {"temperature": 0.2, "max_output_tokens": 9},
        {"temperature": 1, "max_output_tokens": 9},
    ]
    assert loaded.warnings == ()
