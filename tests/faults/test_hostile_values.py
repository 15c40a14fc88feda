"""One value of an upstream's answer replaced by what breaks things: the response has one end, and
is kept and told again as it was told.
"""

import random
import re
from typing import Any

import httpx
import orjson
import pytest
from every_store import store, store_url
from live import live
from nasty import HOOK, TOKENS, VALUES, places, with_value
from speeches import SPEECHES, Speech, is_streamed
from tally import Tried
from upstream import Exchange, upstream

from responses_mw import ResponsesApp, Settings
from responses_mw.transport import HTTPProvider
from stores import SessionStore

__all__ = ["store", "store_url"]

ANSWERS = 25
"""For each format and store, each streamed and whole."""
DATA = re.compile(rb"(?<=data: )\{.*\}(?=\n\n)")
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
FILLINGS = [*map(orjson.dumps, (*VALUES, "\x00", "\r\nx: y")), *(one for one in TOKENS if one)]
TERMINAL = ("response.completed", "response.failed", "response.incomplete")


def hostile(body: bytes, dice: random.Random) -> bytes:
    """JSON, with another value in one place."""
    value = orjson.loads(body)
    hook = orjson.dumps(with_value(value, dice.choice(list(places(value))), HOOK))
    return hook.replace(orjson.dumps(HOOK), dice.choice(FILLINGS))


class Hostile:
    """An upstream that says its speech wrongly, each time otherwise."""

    def __init__(self, speech: Speech, dice: random.Random) -> None:
        self.speech = speech
        self._dice = dice
        self.said = b""

    async def __call__(self, exchange: Exchange) -> None:
        if not is_streamed(exchange):
            whole = {**orjson.loads(self.speech.whole)}
            if "choices" in whole:
                whole["usage"] = USAGE
            self.said = hostile(orjson.dumps(whole), self._dice)
            await exchange.whole(self.said)
            return
        frames = list(self.speech.frames)
        n = self._dice.choice([n for n, frame in enumerate(frames) if DATA.search(frame)])
        frames[n] = DATA.sub(lambda found: hostile(found[0], self._dice), frames[n])
        self.said = frames[n]
        await self.speech.begin(exchange)
        await exchange.send(b"".join(frames))
        exchange.writer.close()


@pytest.mark.parametrize("store_url", ["sqlite", "postgres"], indirect=True)
@pytest.mark.parametrize("format", [name for name in SPEECHES if name != "bedrock"])
async def test_whatever_was_told_is_kept(format: str, store: SessionStore, tried: Tried) -> None:
    says = Hostile(SPEECHES[format], random.Random(format))
    async with upstream(says) as there:
        provider = HTTPProvider(says.speech.adapter(), base_url=there.url)
        app = ResponsesApp(store=store, models={"m": provider}, settings=Settings(drain_s=1))
        async with (
            live(app) as address,
            httpx.AsyncClient(base_url=f"http://{address}", timeout=20, trust_env=False) as http,
        ):
            for _ in range(ANSWERS):
                for stream in (True, False):
                    ended = await turn(http, stream=stream)
                    if ended is not None:
                        await check_kept(http, ended, says.said)
    tried("mutated answers", 2 * ANSWERS)


async def turn(http: httpx.AsyncClient, *, stream: bool) -> Any:
    """The response, or None where it was refused before it began."""
    answer = await http.post("/responses", json={"model": "m", "input": "hi", "stream": stream})
    if answer.status_code != 200:
        error = answer.json()["error"]
        assert answer.status_code != 500 or error["code"] is not None, error
        return None
    return told(answer)[-1]["response"] if stream else answer.json()


def told(answer: httpx.Response) -> list[dict[str, Any]]:
    lines = answer.text.split("\n")
    events = [orjson.loads(line[6:]) for line in lines if line.startswith("data: {")]
    assert [event for event in events if event["type"] in TERMINAL] == events[-1:]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


async def check_kept(http: httpx.AsyncClient, ended: Any, said: bytes) -> None:
    assert ended["status"] in ("completed", "failed", "incomplete"), said
    kept = await http.get(f"/responses/{ended['id']}")
    assert kept.json() == ended, said
    again = await http.get(f"/responses/{ended['id']}", params={"stream": "true"})
    assert told(again)[-1]["response"] == ended, said
    more = {"model": "m", "input": "Go on.", "previous_response_id": ended["id"], "store": False}
    assert (await http.post("/responses", json=more)).status_code in (200, 400, 502), said
