"""The long run: 200 kills on each database, then a steady load whose memory is drawn.

`scripts/soak --minutes N`. What the tests of this folder do briefly is done here at length.
"""

import argparse
import asyncio
import contextlib
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import postgres_server
from kills import Client, by_background, by_conversation, by_socket, by_stream, survive, talking
from victims import Victim, files, nursery, resident_mib

SAMPLE_S = 2.0
WARM_UP_S = 60.0
CLIENTS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--kills", type=int, default=200, help="on each database")
    parser.add_argument("--plot", type=Path, help="a .png of memory, tasks and files")
    parser.add_argument("--samples", type=Path, help="the figures behind it, as JSON")
    arguments = parser.parse_args()
    lost = 0
    with databases() as stores:
        for name, store in stores.items():
            if arguments.kills:
                log = Path(tempfile.mkdtemp()) / "log"
                with nursery(store, log) as born:
                    tally = asyncio.run(
                        survive(born, store, kills=arguments.kills, seed=random.randrange(1 << 30))
                    )
                print(f"{name}: {tally}", *tally.losses, sep="\n  ", flush=True)
                lost += len(tally.losses)
        if arguments.minutes:
            samples = steady(stores["sqlite"], minutes=arguments.minutes)
            if arguments.samples:
                arguments.samples.write_text(json.dumps(samples))
            if arguments.plot:
                draw(samples, arguments.plot)
    sys.exit(bool(lost))


@contextlib.contextmanager
def databases() -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="rmw-soak-") as folder:
        stores = {"sqlite": f"sqlite:///{folder}/soak.db"}
        binaries = postgres_server.find_binaries()
        if binaries is None:
            yield stores
            return
        home = Path(tempfile.mkdtemp(prefix="rmw-soak-pg-"))
        server = postgres_server.start(binaries, home)
        try:
            yield {**stores, "postgres": f"postgresql://postgres@/postgres?host={home}"}
        finally:
            postgres_server.stop(server)
            shutil.rmtree(home)


Sample = dict[str, float]


def steady(store: str, *, minutes: float) -> list[Sample]:
    with nursery(store, Path(tempfile.mkdtemp()) / "log") as born:
        victim = born.start()
        samples = asyncio.run(_loaded(victim, minutes * 60))
        born.kill()
    warm = [sample for sample in samples if sample["s"] >= min(WARM_UP_S, minutes * 15)]
    for name in ("resident_mib", "tasks", "files"):
        values = [sample[name] for sample in warm]
        print(f"{name}: {values[0]:.0f} at first, {values[-1]:.0f} at last, {max(values):.0f} most")
    print(f"turns under load: {samples[-1]['turns']:.0f}", flush=True)
    return samples


async def _loaded(victim: Victim, seconds: float) -> list[Sample]:
    """Every client begins a new chain now and then, so that histories do not grow for ever."""
    begun = time.monotonic()
    ways = (by_stream, by_background, by_socket, by_conversation)
    clients = [Client(ways[n % len(ways)]) for n in range(CLIENTS)]
    counted = 0
    samples: list[Sample] = []

    async def talk(client: Client) -> None:
        nonlocal counted
        while time.monotonic() - begun < seconds:
            counted += await client.talk(victim, lambda _: None, turns=20)
            client.forget()

    async def measure() -> None:
        async with talking(victim) as http:
            while time.monotonic() - begun < seconds:
                tasks = int((await http.get(f"http://{victim.address}/tasks")).text)
                samples.append(
                    {
                        "s": time.monotonic() - begun,
                        "resident_mib": resident_mib(victim),
                        "tasks": tasks,
                        "files": files(victim),
                        "turns": counted,
                    }
                )
                await asyncio.sleep(SAMPLE_S)

    await asyncio.gather(measure(), *map(talk, clients))
    return samples


def draw(samples: list[Sample], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(3, 1, sharex=True, figsize=(8, 6), layout="constrained")
    minutes = [sample["s"] / 60 for sample in samples]
    names = (("resident_mib", "resident MiB"), ("tasks", "tasks"), ("files", "open files"))
    for axis, (name, label) in zip(axes, names, strict=True):
        axis.plot(minutes, [sample[name] for sample in samples], linewidth=0.8)
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0)
    axes[-1].set_xlabel("minutes of steady load")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
