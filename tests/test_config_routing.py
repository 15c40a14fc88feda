"""What LiteLLM's file says of routing means the same here; what is wrong is one clear line."""

from typing import Any

import pytest

from responses_mw import ResponsesApp, Settings
from responses_mw.cli import main
from responses_mw.config import Config, load
from responses_mw.errors import ConfigurationError
from responses_mw.routing.options import CONTINUITY, Routing

EVERY_KEY = """
model_list:
  - model_name: gpt
    litellm_params:
      model: openai/gpt-5
      api_key: os.environ/ROUTED_KEY
      api_base: https://one.example/v1
      use_chat_completions_api: true
      rpm: 60
      tpm: 100000
      weight: 2
      order: 1
      timeout: 30
      stream_timeout: 5
      max_retries: 1
      input_cost_per_token: 0.000001
      search_context_cost_per_query:
        search_context_size_low: 0.03
        search_context_size_medium: 0.035
    model_info: {id: first, output_cost_per_token: 0.000002, max_input_tokens: 8192}
  - model_name: gpt
    litellm_params:
      model: azure/gpt-5
      api_base: https://r.openai.azure.com
      api_key: k
      api_version: "2025-03-01-preview"
  - model_name: claude
    litellm_params:
      model: bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0
      aws_access_key_id: a
      aws_secret_access_key: b
      aws_region_name: us-east-1
  - model_name: gemini
    params: {model: vertex_ai/gemini-2.5-pro, vertex_project: p, vertex_location: global}
  - model_name: anthropic/*
    litellm_params: {model: anthropic/*, api_key: k}
router_settings:
  routing_strategy: usage-based-routing-v2
  routing_strategy_args: {lowest_latency_buffer: 0.1}
  model_group_alias:
    gpt-4: gpt
    secret-gpt: {model: gpt, hidden: true}
  num_retries: 2
  retry_after: 1
  timeout: 120
  allowed_fails: 1
  cooldown_time: 30
  enable_pre_call_checks: true
  fallbacks: [{gpt: [claude, gemini]}]
  redis_host: 127.0.0.1
  redis_port: "6379"
  redis_password: p/w
  optional_pre_call_checks: [responses_api_deployment_check, session_affinity, deployment_affinity]
  deployment_affinity_ttl_seconds: 60
litellm_settings:
  num_retries: 9
  fallbacks: [{claude: [gemini]}]
  request_timeout: 600
  context_window_fallbacks: [{gpt: [gemini]}]
  content_policy_fallbacks: [{gpt: [claude]}]
  default_fallbacks: [gemini]
  drop_params: false
  success_callback: [prometheus, otel]
general_settings:
  master_key: sk-1
  database_url: memory://
  store_prompts_in_spend_logs: true
"""


@pytest.fixture
def file(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("ROUTED_KEY", "k")
    path = tmp_path / "config.yaml"
    path.write_text(EVERY_KEY)
    return path


def routing_of(**sections: Any) -> Routing:
    return load({"model_list": [model("m"), model("n")], **sections}).routing


def model(name: str, **params: Any) -> dict[str, Any]:
    return {"model_name": name, "litellm_params": {"model": "ollama/x", **params}}


def test_a_file_with_every_key_loads_without_a_warning(file: Any) -> None:
    loaded: Config = load(file)

    assert loaded.warnings == ()
    first = loaded.models["gpt"][0]
    assert (first.id, first.rpm, first.tpm, first.weight, first.order) == ("first", 60, 10**5, 2, 1)
    assert (first.max_retries, first.first_delta_s, first.max_input_tokens) == (1, 5, 8192)
    assert first.prices == {
        "input_cost_per_token": 1e-6,
        "output_cost_per_token": 2e-6,
        "search_context_size_low": 0.03,
        "search_context_size_medium": 0.035,
    }
    assert loaded.routing == Routing(
        strategy="usage-based-routing",
        latency_buffer=0.1,
        retries=2,
        least_wait_s=1,
        timeout_s=120,
        allowed_fails=1,
        cooldown_s=30,
        check_input_length=True,
        fallbacks={"gpt": ["claude", "gemini"]},
        context_window_fallbacks={"gpt": ["gemini"]},
        content_policy_fallbacks={"gpt": ["claude"]},
        default_fallbacks=["gemini"],
        aliases={"gpt-4": "gpt", "secret-gpt": "gpt"},
        hidden=frozenset({"secret-gpt"}),
        checks=(*CONTINUITY, "session_affinity", "deployment_affinity"),
        affinity_ttl_s=60,
        redis_url="redis://:p%2Fw@127.0.0.1:6379/0",
    )
    assert (loaded.settings.strict, loaded.settings.log_content) == (True, True)
    assert (loaded.settings.metrics, loaded.settings.otel) == (True, True)
    assert (loaded.master_key, loaded.store_url) == ("sk-1", "memory://")
    assert "p%2Fw" not in repr(loaded)


def test_an_application_takes_the_files_rules_unless_it_has_its_own(file: Any) -> None:
    for extra in ("redis", "prometheus_client", "opentelemetry"):
        pytest.importorskip(extra, reason=f"{extra} is not installed")
    app = ResponsesApp.from_config(file, store="memory://", owner=lambda request: "ann")
    assert app.settings.strict
    assert app.models == ["gpt", "claude", "gemini", "anthropic/*", "gpt-4"]
    own = ResponsesApp.from_config(file, settings=Settings(lease_s=7), store="memory://")
    assert (own.settings.lease_s, own.settings.strict) == (7, False)


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"router_settings": {"routing_strategy": "fastest"}}, "strategy is 'fastest'; known are"),
        ({"router_settings": {"num_retries": "many"}}, "num_retries is of type str; a number"),
        ({"router_settings": {"num_retries": 1.5}}, "num_retries is of type float; a whole number"),
        ({"router_settings": {"num_retries": -1}}, "retries is -1; it cannot be negative"),
        ({"router_settings": {"alowed_fails": 1}}, "alowed_fails is unknown; 'allowed_fails'"),
        ({"router_settings": {"fallbacks": {"m": ["n"]}}}, "fallbacks is of type dict; a list"),
        ({"router_settings": {"fallbacks": [{"m": "n"}]}}, "fallbacks[0].m is of type str; a list"),
        ({"router_settings": {"fallbacks": [{"m": ["x"]}]}}, "fallbacks of 'm' leads to 'x'"),
        ({"litellm_settings": {"default_fallbacks": ["x"]}}, "default_fallbacks leads to 'x'"),
        ({"router_settings": {"model_group_alias": {"a": "x"}}}, "the alias 'a' leads to 'x'"),
        ({"router_settings": {"optional_pre_call_checks": ["x"]}}, "checks is 'x'; known are"),
        (
            {"router_settings": {"redis_password": "os.environ/NOT_THERE", "redis_host": "h"}},
            "router_settings.redis_password reads the environment variable NOT_THERE",
        ),
    ],
)
def test_what_is_wrong_in_the_rules_is_one_line(sections: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        routing_of(**sections)
    assert said in raised.value.message
    assert "\n" not in raised.value.message


def test_the_routers_own_table_goes_before_litellms() -> None:
    both = routing_of(
        router_settings={"fallbacks": [{"m": ["n"]}], "num_retries": 1},
        litellm_settings={"fallbacks": [{"n": ["m"]}], "num_retries": 2, "allowed_fails": 5},
    )
    assert (both.fallbacks, both.retries, both.allowed_fails) == ({"m": ["n"]}, 1, 5)


def test_check_config_says_what_is_served_and_serves_nothing(
    file: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["responses-mw", "check-config", str(file)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (0, None)
    assert "gpt: 2 deployments\nclaude: 1 deployment\n" in capsys.readouterr().out


def test_check_config_ends_with_one_line_where_something_is_wrong(
    file: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROUTED_KEY")
    monkeypatch.setattr("sys.argv", ["responses-mw", "check-config", str(file)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert "model_list[0].litellm_params.api_key reads the environment" in str(ended.value.code)
