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


NAMED: dict[str, dict[str, Any]] = {
    "session_id": {"session_id": "s"},
    "litellm_session_id": {"litellm_session_id": "s"},
    "litellm_metadata": {"litellm_metadata": {"session_id": "s", "tags": ["blue"]}},
    "metadata": {"metadata": {"session_id": "s"}},
    "prompt_cache_key": {"prompt_cache_key": "s"},
}


@pytest.mark.parametrize("named", NAMED.values(), ids=NAMED)
def test_a_session_stays_with_the_deployment_that_answered_it(named: dict[str, Any]) -> None:
    with contextlib.ExitStack() as stack:
        places = [stack.enter_context(elsewhere(says(text))) for text in "abc"]
        models = [
            {
                "model_name": "good",
                "litellm_params": {"model": CLAUDE, "api_key": "k", "api_base": place.url},
            }
            for place in places
        ]
        router = responses_mw.Router(models, optional_pre_call_checks=["session_affinity"])
        stack.enter_context(contextlib.closing(router))
        said = [router.responses(model="good", input="Hi", **named) for _ in range(10)]
        events = router.responses(model="good", input="Hi", stream=True, **named)
        *_, last = events
        others = {
            router.responses(model="good", input="Hi", session_id=f"s{n}").output_text
            for n in range(20)
        }
    assert {response.output_text for response in [*said, last.response]} == {said[0].output_text}
    assert len(others) == 3
    assert said[0].metadata == named.get("metadata", {})
    assert all(
        "session_id" not in exchange.json for place in places for exchange in place.exchanges
    )


def test_session_and_tags_are_told_to_callbacks() -> None:
    told: list[tuple[str | None, tuple[str, ...]]] = []

    class Audit:
        def on_success(self, record: Any) -> None:
            told.append((record.caller.session, record.caller.tags))

    router = responses_mw.Router(MODELS, callbacks=[Audit()])
    with contextlib.closing(router):
        asked: Any = {"model": "good", "input": "Hi", "mock_response": "Hello"}
        router.responses(**asked, litellm_metadata={"session_id": "s", "tags": ["blue"]})
        router.responses(**asked, metadata={"tags": "red", "session_id": "m"}, session_id="own")
    assert told == [("s", ("blue",)), ("own", ("red",))]


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"session_id": 1}, "session_id"),
        ({"litellm_metadata": "s"}, "litellm_metadata"),
        ({"litellm_metadata": {"tags": "blue"}}, "litellm_metadata.tags"),
    ],
)
def test_a_session_that_is_none_is_refused(
    wrong: dict[str, Any], param: str, router: responses_mw.Router
) -> None:
    with pytest.raises(responses_mw.InvalidRequest) as refused:
        router.responses(model="good", input="Hi", mock_response="Never.", **wrong)
    assert (refused.value.status, refused.value.param) == (400, param)


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
