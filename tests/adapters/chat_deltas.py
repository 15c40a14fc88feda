"""Short forms of what a chat completions answer may be made of, and of the deltas it gives."""

from chat_cases import chunk, decode_chunks

from responses_mw.adapters import chat_dialects as dialects
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.deltas import ToolCallDelta, ToolCallStarted, UsageReported

CHAT = ChatCompletions(dialects.GENERIC)
THINKING = ChatCompletions(dialects.HUGGINGFACE)
STOP = chunk("stop")


def call(index=None, id=None, name=None, arguments=None, **more):
    function = {"name": name, "arguments": arguments}
    entry = {"index": index, "id": id, "function": function, **more}
    return {key: value for key, value in entry.items() if value is not None}


def calls_in(deltas):
    deltas = list(deltas)
    calls = {found.key: [found.call_id, found.name, ""] for found in of(ToolCallStarted, deltas)}
    for piece in of(ToolCallDelta, deltas):
        calls[piece.key][2] += piece.arguments
    return [tuple(found) for found in calls.values()]


def of(kind, deltas):
    return [delta for delta in deltas if isinstance(delta, kind)]


def usage_of(adapter=CHAT, **usage):
    (report,) = of(UsageReported, decode_chunks(adapter, STOP, {"choices": [], "usage": usage}))
    return report
