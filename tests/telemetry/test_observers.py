"""Who is told of what."""

from responses_mw.app import ResponsesApp
from responses_mw.records import Observer, TurnRecord
from responses_mw.telemetry.log import TurnLog
from responses_mw.testing import EchoProvider, openai_client
from responses_mw.watch import Watch
from stores import MemoryStore


class Ends(Observer):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_end(self, record: TurnRecord) -> None:
        self.seen.append(f"ended {record.status}")


class All(Ends):
    def on_start(self, record: TurnRecord) -> None:
        self.seen.append(f"started {record.status}")

    def on_first_delta(self, record: TurnRecord) -> None:
        self.seen.append("heard")


async def test_an_observer_says_what_it_does_and_no_more() -> None:
    ends, everything = Ends(), All()
    observers = [ends, everything]
    app = ResponsesApp(store=MemoryStore(), models={"m": EchoProvider()}, observers=observers)
    async with app.lifespan(), openai_client(app) as client:
        await client.responses.create(model="m", input="Hi.")
    assert ends.seen == ["ended completed"]
    assert everything.seen == ["started in_progress", "heard", "ended completed"]


def test_nobody_is_asked_who_does_nothing() -> None:
    everything, log = All(), TurnLog()
    watch = Watch([log, everything])
    assert watch.all == (log, everything)
    assert (watch.started, watch.heard) == ([everything.on_start], [everything.on_first_delta])
    assert watch.ended == [log.on_end, everything.on_end]
