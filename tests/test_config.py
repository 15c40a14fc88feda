"""A configuration file means what LiteLLM's users expect; what is wrong in it is one clear line."""

import textwrap
from typing import Any

import pytest

from responses_mw import config
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.openai_responses import OpenAIResponses
from responses_mw.config import Config, load
from responses_mw.errors import ConfigurationError
from responses_mw.local import LocalModel
from responses_mw.router import Provider
from responses_mw.testing import EchoProvider
from responses_mw.transport import HTTPProvider
from responses_mw.turn import Turn

SECRET = "sk-topsecret-123456"


def entry(model: str, **params: Any) -> dict[str, Any]:
    return {"model_name": "m", "litellm_params": {"model": model, **params}}


def one(model: str, **params: Any) -> Any:
    [deployment] = load({"model_list": [entry(model, **params)]}).models["m"]
    return deployment


def refusal(source: Any) -> str:
    with pytest.raises(ConfigurationError) as raised:
        load(source)
    assert "\n" not in raised.value.message
    assert SECRET not in raised.value.message
    return raised.value.message


@pytest.fixture(autouse=True)
def without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GROQ_API_KEY", "HOSTED_VLLM_API_KEY",
        "AZURE_API_BASE", "AZURE_API_KEY", "AZURE_OPENAI_API_KEY", "AZURE_API_VERSION",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("model", "params", "adapter", "name", "base_url"),
    [
        ("hosted_vllm/qwen/qwen3", {"api_base": "http://h:8000/v1"}, "vllm", "qwen/qwen3", None),
        (
            "openai/gpt-5",
            {"api_key": "k", "use_chat_completions_api": True},
            "openai",
            "gpt-5",
            "https://api.openai.com/v1",
        ),
        (
            "openai/llama",
            {"api_base": "http://h/v1", "use_chat_completions_api": True},
            "chat_completions",
            "llama",
            "http://h/v1",
        ),
        (
            "gpt-4o",
            {"api_key": "k", "use_chat_completions_api": True},
            "openai",
            "gpt-4o",
            "https://api.openai.com/v1",
        ),
        ("anthropic/c", {"api_key": "k"}, None, "c", "https://api.anthropic.com"),
        ("claude-x", {"api_key": "k"}, None, "claude-x", "https://api.anthropic.com"),
        ("groq/llama", {"api_key": "k"}, "groq", "llama", "https://api.groq.com/openai/v1"),
        ("ollama/llama3", {}, "ollama", "llama3", "http://127.0.0.1:11434/v1"),
        ("ollama/x", {"api_base": "http://h:1"}, "ollama", "x", "http://h:1/v1"),
    ],
)
def test_a_model_leads_to_its_adapter_address_and_upstream_name(
    model: str, params: dict[str, Any], adapter: str | None, name: str, base_url: str | None
) -> None:
    deployment = one(model, **params)

    assert deployment.model == name
    assert isinstance(deployment.provider, HTTPProvider)
    assert deployment.provider.base_url == (base_url or params["api_base"])
    dialect = getattr(deployment.provider.adapter, "dialect", None)
    assert (None if dialect is None else dialect.name) == adapter


def test_every_known_provider_can_be_named() -> None:
    for prefix in config.UPSTREAMS:
        deployment = one(f"{prefix}/x", api_base="http://127.0.0.1:1/v1", api_key="k")
        assert isinstance(deployment.provider, Provider)


def test_one_name_with_several_entries_is_several_deployments() -> None:
    entries = [
        {**entry("hosted_vllm/a", api_base="http://a/v1"), "model_info": {"id": "first"}},
        entry("hosted_vllm/b", api_base="http://b/v1"),
    ]

    deployments = load({"model_list": entries}).models["m"]

    assert [(each.id, each.model) for each in deployments] == [("first", "a"), (None, "b")]


def test_how_many_tokens_a_model_takes_is_known_if_the_file_says_so() -> None:
    info = {"max_input_tokens": 8192}
    entries = [
        {**entry("hosted_vllm/a", api_base="http://a/v1"), "model_info": info},
        entry("hosted_vllm/b", api_base="http://b/v1"),
    ]

    deployments = load({"model_list": entries}).models["m"]

    assert [each.max_input_tokens for each in deployments] == [8192, None]


def test_the_key_goes_out_as_the_format_wants_it_and_into_no_repr() -> None:
    bearer = one("hosted_vllm/a", api_base="http://a/v1", api_key=SECRET)
    own = one("anthropic/a", api_key=SECRET, extra_headers={"X-Team": "blue"})

    assert bearer.provider._headers["authorization"] == f"Bearer {SECRET}"
    assert own.provider._headers["x-api-key"] == SECRET
    assert own.provider._headers["x-team"] == "blue"
    assert SECRET not in repr(bearer) + repr(own)


def test_keys_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "named")
    monkeypatch.setenv("GROQ_API_KEY", "usual")

    named = one("groq/x", api_key="os.environ/MY_KEY")
    usual = one("groq/x")
    elsewhere = one("groq/x", api_base="https://somebody.else/v1")

    assert named.provider._headers["authorization"] == "Bearer named"
    assert usual.provider._headers["authorization"] == "Bearer usual"
    assert "authorization" not in elsewhere.provider._headers


def test_openai_and_azure_are_asked_by_responses_unless_the_file_says_otherwise() -> None:
    asked = {
        model: type(
            one(model, api_key="k", api_base="http://127.0.0.1:1/v1", **params).provider.adapter
        )
        for model, params in {
            "openai/gpt-5": {},
            "azure/my-gpt": {},
            "openai/gpt-4o": {"use_chat_completions_api": True},
            "azure/my-4o": {"use_chat_completions_api": True},
            "xai/grok-4": {},
            "xai/grok-5": {"use_responses_api": True},
        }.items()
    }
    assert asked == {
        "openai/gpt-5": OpenAIResponses,
        "azure/my-gpt": OpenAIResponses,
        "openai/gpt-4o": ChatCompletions,
        "azure/my-4o": ChatCompletions,
        "xai/grok-4": ChatCompletions,
        "xai/grok-5": OpenAIResponses,
    }


@pytest.mark.parametrize(
    ("api_base", "api_version", "asked"),
    [
        ("https://r.openai.azure.com", None, "https://r.openai.azure.com/openai/v1/responses"),
        ("https://r.openai.azure.com/", "v1", "https://r.openai.azure.com/openai/v1/responses"),
        (
            "https://r.openai.azure.com/openai/v1/",
            "preview",
            "https://r.openai.azure.com/openai/v1/responses?api-version=preview",
        ),
        (
            "https://r.openai.azure.com",
            "2025-03-01-preview",
            "https://r.openai.azure.com/openai/responses?api-version=2025-03-01-preview",
        ),
        (
            "https://r.openai.azure.com/openai/responses?api-version=2025-03-01-preview",
            None,
            "https://r.openai.azure.com/openai/responses?api-version=2025-03-01-preview",
        ),
        ("https://proxy.example/az/v1", None, "https://proxy.example/az/v1/responses"),
    ],
)
def test_azure_has_two_forms_of_address(api_base: str, api_version: Any, asked: str) -> None:
    version = {} if api_version is None else {"api_version": api_version}
    provider = one("azure/my-gpt", api_base=api_base, api_key=SECRET, **version).provider

    request = provider.adapter.encode(Turn(model="my-gpt", spans=()))
    assert provider.base_url + request.path == asked
    assert provider._headers["api-key"] == SECRET
    assert "authorization" not in provider._headers


def test_azure_takes_a_token_in_place_of_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = one("azure/x", api_base="https://r.azure.com", azure_ad_token=SECRET).provider
    assert provider._headers["authorization"] == f"Bearer {SECRET}"
    monkeypatch.setenv("AZURE_API_BASE", "https://r.azure.com")
    monkeypatch.setenv("AZURE_API_KEY", "of the environment")
    assert one("azure/x").provider._headers["api-key"] == "of the environment"


def test_what_one_organisation_encrypts_is_not_sent_to_another() -> None:
    turn = Turn(model="gpt-5", spans=())

    def scope(**params: Any) -> str:
        return one("openai/gpt-5", **params).provider.adapter.scope(turn)

    assert scope(api_key="a") == scope(api_key="a")
    assert scope(api_key="a") != scope(api_key="b")
    assert scope(api_key="a", organization="o") == scope(api_key="b", organization="o")
    assert scope(api_key="a") != scope(api_key="a", api_base="http://127.0.0.1:1/v1")
    assert SECRET not in scope(api_key=SECRET)


def test_a_timeout_bounds_every_silence() -> None:
    assert one("hosted_vllm/a", api_base="http://a/v1", timeout=12).provider._timeouts.read == 12
    assert one("hosted_vllm/a", api_base="http://a/v1", timeout="7").provider._timeouts.read == 7


def test_python_providers_may_be_classes_instances_or_factories(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:
    (tmp_path / "own_models.py").write_text(
        "from responses_mw.testing import EchoProvider\n"
        "instance = EchoProvider()\n"
        "def factory(): return EchoProvider()\n"
        "class Inside:\n    provider = EchoProvider\n"
        "number = 7\n"
        "def wrong(): return 7\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    for name in ("EchoProvider", "instance", "factory", "Inside.provider"):
        assert isinstance(one(f"python/own_models:{name}").provider, EchoProvider)
    assert "neither a provider nor makes one" in refusal(
        {"model_list": [entry("python/own_models:number")]}
    )
    assert "gave a int" in refusal({"model_list": [entry("python/own_models:wrong")]})
    assert "no attribute 'absent'" in refusal({"model_list": [entry("python/own_models:absent")]})
    assert "cannot be imported" in refusal({"model_list": [entry("python/absent_module:x")]})


def test_the_local_model_is_loaded_once_whatever_it_is_called() -> None:
    pytest.importorskip("xllamacpp", reason="xllamacpp is not installed")
    entries = [{**entry("local"), "model_name": name} for name in ("small", "toy")]

    models = load({"model_list": entries}).models

    assert isinstance(models["small"][0].provider, LocalModel)
    assert models["small"][0].provider is models["toy"][0].provider


def test_a_file_is_read_as_yaml(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD_URL", "postgresql://u:p@h/db")
    file = tmp_path / "config.yaml"
    file.write_text(
        textwrap.dedent(f"""
            model_list:
              - model_name: echo
                params: {{model: "python/responses_mw.testing:EchoProvider"}}
            general_settings:
              master_key: {SECRET}
              database_url: os.environ/DB_PASSWORD_URL
        """)
    )

    loaded = load(file)

    assert list(loaded.models) == ["echo"]
    assert (loaded.master_key, loaded.store_url) == (SECRET, "postgresql://u:p@h/db")
    assert SECRET not in repr(loaded)
    assert "postgresql" not in repr(loaded)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"model": "openai/gpt-5"}, "set it, or the environment variable OPENAI_API_KEY"),
        ({"model": "gpt-5"}, "set it, or the environment variable OPENAI_API_KEY"),
        ({"model": "hosted_vllm/x"}, "model_list[0].litellm_params.api_base is missing"),
        ({"model": "azure/x"}, "model_list[0].litellm_params.api_base is missing"),
        (
            {"model": "openai/x", "api_key": SECRET, "responses_dialect": "x"},
            "model_list[0].litellm_params.responses_dialect is 'x'; known are azure,",
        ),
        (
            {
                "model": "hosted_vllm/x",
                "api_base": "http://a/v1",
                "use_responses_api": True,
                "native_state": True,
            },
            "model_list[0].litellm_params.native_state: vllm keeps no responses",
        ),
        ({"model": "groq/x"}, "set it, or the environment variable GROQ_API_KEY"),
        ({"model": "grok/x"}, "the provider 'grok' is unknown; known are anthropic, azure,"),
        ({"model": "llama"}, "`provider/name` is needed"),
        ({"model": "groq/"}, "`provider/name` is needed"),
        ({}, "model_list[0].litellm_params.model is missing"),
        ({"model": ["a"]}, "model_list[0].litellm_params.model is of type list; text is needed"),
        (
            {"model": "groq/x", "api_key": "os.environ/NOT_THERE"},
            "model_list[0].litellm_params.api_key reads the environment variable NOT_THERE",
        ),
        (
            {"model": "groq/x", "api_key": [SECRET]},
            "model_list[0].litellm_params.api_key is of type list; text is needed",
        ),
        ({"model": "ollama/x", "api_base": SECRET}, "api_base is not an http:// or https://"),
        ({"model": "ollama/x", "timeout": SECRET}, "timeout is of type str; a number is needed"),
        (
            {"model": "ollama/x", "use_chat_completions_api": "yes"},
            "use_chat_completions_api is of type str; true or false is needed",
        ),
        (
            {"model": "ollama/x", "api_bsae": "http://x"},
            "model_list[0].litellm_params.api_bsae is unknown; 'api_base' is meant?",
        ),
        ({"model": "python/no_colon"}, "python/package.module:attribute is needed"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(params: dict[str, Any], said: str) -> None:
    assert said in refusal({"model_list": [{"model_name": "m", "litellm_params": params}]})


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({}, "model_list is empty or missing"),
        ({"model_list": {}}, "model_list is of type dict; a list is needed"),
        ({"model_list": ["x"]}, "model_list[0] is of type str; a mapping is needed"),
        ({"model_list": [entry("ollama/*")]}, "the model's `*` stands for the model_name's"),
        ({"model_lst": []}, "model_lst is unknown; 'model_list' is meant?"),
        ({"model_list": [{"model_name": "m"}]}, "model_list[0].litellm_params is missing"),
        (
            {"model_list": [{"model_name": "m", "litellm_parms": {"model": "ollama/x"}}]},
            "model_list[0].litellm_parms is unknown; 'litellm_params' is meant?",
        ),
        (
            {"model_list": [{"model_nmae": "m", "litellm_params": {"model": "ollama/x"}}]},
            "model_list[0].model_nmae is unknown; 'model_name' is meant?",
        ),
        (
            {"model_list": [entry("ollama/x")], "general_settings": {"master_kye": SECRET}},
            "general_settings.master_kye is unknown; 'master_key' is meant?",
        ),
    ],
)
def test_what_is_wrong_outside_the_models_is_named_too(source: Any, said: str) -> None:
    assert said in refusal(source)


def test_all_variables_that_are_not_set_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SET", SECRET)
    named = ("ONE", "SET", "TWO", "ONE")
    models = [entry("groq/x", api_key=f"os.environ/{name}") for name in named]
    said = refusal({"model_list": models, "general_settings": {"master_key": "os.environ/THREE"}})

    assert said == (
        "model_list[0].litellm_params.api_key reads the environment variable ONE, which is not set;"
        " nor are TWO, THREE, which the file names, too"
    )


def test_keys_without_effect_are_one_warning_each(caplog: pytest.LogCaptureFixture) -> None:
    loaded: Config = load(
        {
            "model_list": [{**entry("ollama/x", seed=6), "model_info": {"mode": "chat"}}],
            "general_settings": {"alerting": ["slack"], "zebra": 1},
            "router_settings": {"num_retries": 2, "default_priority": 3},
            "litellm_settings": {"cache": True, "success_callback": ["langfuse"]},
        }
    )

    assert [warning.split()[0].rstrip(":") for warning in loaded.warnings] == [
        "model_list[0].model_info.mode",
        "model_list[0].litellm_params.seed",
        "litellm_settings.success_callback",
        "general_settings.alerting",
        "general_settings.zebra",
        "router_settings.default_priority",
        "litellm_settings.cache",
    ]
    assert "is LiteLLM's and has no effect here" in loaded.warnings[0]
    assert "is unknown and has no effect; the nearest known key is" in loaded.warnings[4]
    assert [record.getMessage() for record in caplog.records] == list(loaded.warnings)


@pytest.mark.parametrize("key", ["api_bse", "extra_heders", "apibase", "weigth"])
def test_a_misspelt_key_stops_the_start(key: str) -> None:
    assert "is meant?" in refusal({"model_list": [entry("ollama/x", **{key: 1})]})


@pytest.mark.parametrize(
    "key", ["input_cost_per_token_of_ours", "api_key_2", "input_cost_per_parrot", "api_keeper"]
)
def test_a_key_with_a_word_of_its_own_is_only_warned_of(key: str) -> None:
    [warning] = load({"model_list": [entry("ollama/x", **{key: 1})]}).warnings
    assert f"{key} is unknown and has no effect; the nearest known key is" in warning


def test_unreadable_files_say_where_and_repeat_nothing(tmp_path: Any) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(f"model_list:\n  - {SECRET}: [\n")

    assert "is not valid YAML, line" in refusal(broken)
    assert "cannot be read: No such file" in refusal(tmp_path / "absent.yaml")
    (tmp_path / "empty.yaml").write_text("")
    assert "holds no keys" in refusal(tmp_path / "empty.yaml")


def test_the_store_is_the_option_else_the_variable_else_the_file_else_the_data_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    file = Config({}, store_url="sqlite:///file.db")
    monkeypatch.setenv("RESPONSES_MW_STORE", "sqlite:///variable.db")

    assert config.store_url(file, "memory://") == "memory://"
    assert config.store_url(file) == "sqlite:///variable.db"
    monkeypatch.delenv("RESPONSES_MW_STORE")
    assert config.store_url(file) == "sqlite:///file.db"
    assert config.store_url() == f"sqlite:///{tmp_path}/responses-mw/responses.db"
    assert (tmp_path / "responses-mw").is_dir()
