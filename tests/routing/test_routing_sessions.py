"""Many sessions while one of three deployments fails at random: nobody notices, nothing is said
twice."""

import asyncio
import random
from typing import Any

import pytest
from routed import garbage, half_a_frame, reset, saying, stall, stall_in_stream, status
from upstream import Exchange, Upstream, upstream

from responses_mw import ChatCompletions, HTTPProvider, ResponsesApp, Settings, Timeouts
from responses_mw.adapters.chat_dialects import GENERIC
from responses_mw.router import Deployment, Routing
from responses_mw.testing import openai_client

SESSIONS, TURNS = 64, 4
FAILURES = [
    reset,
    stall,
    stall_in_stream,
    garbage,
    half_a_frame,
    status(500),
    status(429, Retry_After="1"),
    status(401),
]


class Answering:
    """Says how often each question was answered to the end; `failing` does not answer at random."""

    def __init__(self, *, failing: bool) -> None:
        self.answered: list[str] = []
        self._failing = failing
        self._rng = random.Random(3)

    async def __call__(self, exchange: Exchange) -> None:
        if self._failing and self._rng.random() < 0.5:
            await self._rng.choice(FAILURES)(exchange)
            return
        question = exchange.json["messages"][-1]["content"]
        self.answered.append(question if isinstance(question, str) else question[0]["text"])
        await saying(f"to {self.answered[-1]}")(exchange)


@pytest.mark.parametrize("stream", [False, True])
async def test_no_session_sees_an_error_that_a_healthy_deployment_could_avoid(
    stream: bool, tmp_path: Any
) -> None:
    answering = [Answering(failing=failing) for failing in (True, False, False)]
    async with (
        upstream(answering[0]) as a,
        upstream(answering[1]) as b,
        upstream(answering[2]) as c,
    ):
        app = ResponsesApp(
            store=f"sqlite:///{tmp_path}/s.db",
            models={"m": [_at(place, n) for n, place in enumerate((a, b, c))]},
            settings=Settings(drain_s=5),
            routing=Routing(allowed_fails=5, cooldown_s=0.1, first_delta_s=4.0),
        )
        async with app.lifespan(), openai_client(app) as client:
            chains = await asyncio.gather(
                *(_session(client, f"s{n}", stream=stream) for n in range(SESSIONS))
            )
    questions = sorted(f"s{n} {turn}" for n in range(SESSIONS) for turn in range(TURNS))
    assert sorted(said for chain in chains for said in chain) == [f"to {q}" for q in questions]
    answered = [question for each in answering for question in each.answered]
    assert sorted(answered) == questions
    failed = len(a.exchanges) - len(answering[0].answered)
    assert failed >= 5, "the deployment that was to fail hardly did"


async def _session(client: Any, name: str, *, stream: bool) -> list[str]:
    """What was answered, turn by turn, in one chain."""
    said: list[str] = []
    previous: str | None = None
    for turn in range(TURNS):
        asked = {"model": "m", "input": f"{name} {turn}", "previous_response_id": previous}
        if stream:
            events = [event async for event in await client.responses.create(**asked, stream=True)]
            assert events[-1].type == "response.completed"
            response = events[-1].response
        else:
            response = await client.responses.create(**asked)
        said.append(response.output_text)
        previous = response.id
    return said


def _at(place: Upstream, n: int) -> Deployment:
    timeouts = Timeouts(connect=2, read=4.0)
    provider = HTTPProvider(ChatCompletions(GENERIC), base_url=place.url, timeouts=timeouts)
    return Deployment(provider, model="m", id=f"d{n}")
