"""What a purge reaches of an end user's words in a chain that others went on from."""

from compacting import ABOVE, LONG, Summariser, serving, shown
from every_store import store, store_url

from stores import SessionStore

__all__ = ["store", "store_url"]

OWNER = "ann"


async def test_a_purged_users_words_are_in_no_summary_and_the_chain_goes_on(
    store: SessionStore,
) -> None:
    provider = Summariser("one", "two", "three", "four")
    async with serving(provider, store) as http:
        one = await http.ask(LONG, user="eve")
        two = await http.ask(
            "Next.", previous_response_id=one["id"], user="ben", context_management=ABOVE
        )
        before = await http.ask("Then.", previous_response_id=two["id"])

        erased = await store.purge(OWNER, user="eve")
        after = await http.ask("Then.", previous_response_id=two["id"])
        place, headers = f"/responses/{two['id']}", {"owner": OWNER}
        read = (await http.client.get(place, headers=headers)).json()
        told = await http.client.get(place, params={"stream": "true"}, headers=headers)

    assert two["output"][0]["type"] == "compaction"
    assert before["status"] == after["status"] == "completed"
    assert erased == 1
    assert shown(provider.turns[2]) == ["S1", "Next.", "two", "Then."]
    assert shown(provider.turns[3]) == ["Next.", "two", "Then."]
    assert read["output"][0] == {**two["output"][0], "encrypted_content": ""}
    assert read["output"][1:] == two["output"][1:]
    assert "response.completed" in told.text
    assert two["output"][0]["encrypted_content"] not in told.text


async def test_a_summary_in_the_users_own_answer_goes_with_it(store: SessionStore) -> None:
    provider = Summariser("one", "two", "three", "four")
    async with serving(provider, store) as http:
        one = await http.ask(LONG, user="eve")
        two = await http.ask(
            "Next.", previous_response_id=one["id"], user="eve", context_management=ABOVE
        )
        three = await http.ask("Then.", previous_response_id=two["id"], user="ben")
        await store.purge(OWNER, user="eve")
        await http.ask("On.", previous_response_id=three["id"])
        gone = await http.client.get(f"/responses/{two['id']}", headers={"owner": OWNER})

    assert gone.status_code == 404
    assert shown(provider.turns[3]) == ["Then.", "three", "On."]
