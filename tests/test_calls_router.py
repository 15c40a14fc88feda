"""Calls through a `Router`: models by the names of a list, and what it routes by."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from called import CLAUDE, says, store
from upstream import Exchange, elsewhere

import responses_mw
from responses_mw.errors import NotFound

pytestmark = pytest.mark.usefixtures("store")
__all__ = ["store"]


MODELS = [
    {"model_name": "good", "litellm_params": {"model": CLAUDE, "api_key": "k"}},
    {"model_name": "fast", "litellm_params": {"model": CLAUDE, "api_key": "k"}},
]


@pytest.fixture
def router() -> Iterator[responses_mw.Router]:
    with contextlib.closing(responses_mw.Router(model_list=MODELS)) as made:
        yield made


def test_a_router_answers_by_the_names_of_its_list() -> None:
    with elsewhere(says("Hello.")) as it:
        listed = {"model": CLAUDE, "api_key": "k", "api_base": it.url}
        models = [{"model_name": "good", "litellm_params": listed}]
        with contextlib.closing(responses_mw.Router(model_list=models)) as router:
            assert router.models == ["good"]
            one = router.responses(model="good", input="Hi")
            with pytest.raises(responses_mw.InvalidRequest, match="Known models: good"):
                router.responses(model="other", input="Hi")
    assert (one.output_text, one.model) == ("Hello.", "good")
    assert it.exchanges[0].json["model"] == "claude-sonnet-4-5"


def test_a_router_shares_the_default_store(router: responses_mw.Router) -> None:
    one = router.responses(model="good", input="Hi", mock_response="Hello")
    assert responses_mw.get_responses(one.id) == one


def test_a_router_has_a_store_of_its_own_if_it_is_given_one() -> None:
    with contextlib.closing(responses_mw.Router(MODELS, store="memory://")) as router:
        one = router.responses(model="good", input="Hi", mock_response="Hello")
        assert router.get_responses(one.id) == one
        router.close()
        assert router.get_responses(one.id) == one
    with pytest.raises(NotFound):
        responses_mw.get_responses(one.id)


def test_a_router_takes_no_address_or_key_from_a_call(router: responses_mw.Router) -> None:
    with pytest.raises(responses_mw.InvalidRequest, match="belongs into the model_list") as refused:
        router.responses(model="good", input="Hi", api_key="k")
    assert refused.value.param == "api_key"


async def test_a_router_can_be_awaited_and_closed() -> None:
    router = responses_mw.Router(MODELS)
    one = await router.aresponses(model="fast", input="Hi", mock_response="Hello")
    assert (await router.aget_responses(one.id)).output_text == "Hello"
    await router.aclose()


def test_a_router_takes_the_keys_of_router_settings() -> None:
    async def broken(exchange: Exchange) -> None:
        await exchange.whole({"error": {"message": "down"}}, 500)

    with elsewhere(broken) as down, elsewhere(says("Hello.")) as up:
        models = [
            {
                "model_name": name,
                "litellm_params": {"model": CLAUDE, "api_key": "k", "api_base": url},
            }
            for name, url in (("good", down.url), ("fast", up.url))
        ]
        router = responses_mw.Router(
            model_list=models,
            fallbacks=[{"good": ["fast"]}],
            optional_pre_call_checks=["responses_api_deployment_check"],
        )
        with contextlib.closing(router):
            one = router.responses(model="good", input="Hi")
    assert one.output_text == "Hello."
    assert one.headers["x-responses-mw-fallback"] == "good->fast"
    with pytest.raises(responses_mw.ConfigurationError, match=r"router_settings\.falbacks"):
        responses_mw.Router(MODELS, falbacks=[])


def test_a_routers_hooks_see_each_turn() -> None:
    class Guard:
        async def before_turn(self, turn: responses_mw.Turn, caller: Any) -> None:
            raise responses_mw.InvalidRequest("Not here.", code="refused")

    router = responses_mw.Router(MODELS, hooks=[Guard()])
    with contextlib.closing(router), pytest.raises(responses_mw.InvalidRequest) as refused:
        router.responses(model="good", input="Hi", mock_response="Never.")
    assert refused.value.code == "refused"


def test_a_store_that_is_none_is_said_at_once() -> None:
    with pytest.raises(responses_mw.ConfigurationError, match="the store cannot be used"):
        responses_mw.Router(MODELS, store="mongodb://here")


def test_a_routers_list_may_add_to_requests() -> None:
    with elsewhere(says("Hello.")) as it:
        listed = {"model": CLAUDE, "api_key": "k", "api_base": it.url, "extra_body": {"top_k": 5}}
        router = responses_mw.Router([{"model_name": "good", "litellm_params": listed}])
        with contextlib.closing(router):
            router.responses(model="good", input="Hi", extra_headers={"x-team": "blue"})
            router.responses(model="good", input="Hi", extra_body={"top_k": 6})
    assert [asked.json["top_k"] for asked in it.exchanges] == [5, 6]
    assert [asked.headers.get("x-team") for asked in it.exchanges] == ["blue", None]
