"""The command behind `scripts/bench`: what is measured has a command each, `turns` is the first.

`scripts/bench stores --help` says what one of them takes.
"""

import importlib
import signal
import sys

from benchmarks.wire import BrokenRun

COMMANDS = {
    "turns": "what a turn costs: CPU, latency, memory, disk (meant where no command is named)",
    "stores": "rebuilding and appending turns beside the least it could cost, and SQLModel",
    "slow": "a thousand slow streams on one worker: time to first delta, and whether any starves",
    "footprint": "time to start, memory when idle and with open streams, bytes on disk",
    "million": "every route with a million responses stored, beside an empty database",
    "telemetry": "log, metrics and traces on, beside the same server with them off",
    "plots": "figures under docs/, of what the others wrote with --json",
}
"""Each a module here with `main(arguments)`; imported when it is asked for."""


def main() -> int:
    # So that everything that was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    command, *arguments = sys.argv[1:] or ["turns"]
    if command not in COMMANDS:
        command, arguments = "turns", [command, *arguments]
    if arguments[:1] in (["-h"], ["--help"]) and command == "turns":
        print("commands:", *(f"  {name:<10} {what}" for name, what in COMMANDS.items()), sep="\n")
    try:
        importlib.import_module(f"benchmarks.{command}").main(arguments)
    except BrokenRun as error:
        notes = getattr(error, "__notes__", ())
        print("broken run, nothing was measured:", error, *notes, sep="\n", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
