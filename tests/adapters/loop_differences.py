"""What may differ between a history that was really sent and the one that we rebuild, and why it
changes nothing.

Each difference is evened out on both sides; whatever is left must be equal, field by field. A test
holds that none of them is listed in vain, and docs/providers.md repeats the list.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from loop_formats import Entry, blocks, response_text

Change = Callable[[Entry], Entry]


@dataclass(frozen=True)
class Difference:
    """`providers` are the only ones where it may differ; without, everyone of the formats."""

    formats: tuple[str, ...]
    what: str
    why: str
    even: Callable[[list[Entry]], list[Entry]]
    providers: tuple[str, ...] = ()

    def concerns(self, format: str, provider: str) -> bool:
        return format in self.formats and (not self.providers or provider in self.providers)


def evened(history: list[Entry], differences: Sequence[Difference]) -> list[Entry]:
    """In the order of the list: some look at what others have left."""
    made: list[Entry] = json.loads(json.dumps(history))
    for difference in differences:
        made = difference.even(made)
    return made


# --- how they are evened out


def messages(change: Change) -> Callable[[list[Entry]], list[Entry]]:
    return lambda history: [change(entry) for entry in history]


def parts(change: Change, key: str = "content") -> Callable[[list[Entry]], list[Entry]]:
    def changed(entry: Entry) -> Entry:
        said = entry.get(key)
        return {**entry, key: [change(p) for p in said]} if isinstance(said, list) else entry

    return messages(changed)


def without(*names: str, **said: Any) -> Change:
    """Without fields of these names, and without those that say just this."""

    def changed(entry: Entry) -> Entry:
        return {
            key: value
            for key, value in entry.items()
            if key not in names and (key not in said or said[key] != value)
        }

    return changed


def _without_empty_content(message: Entry) -> Entry:
    empty = message.get("content") in (None, "", [{"type": "text", "text": ""}])
    return without("content")(message) if empty else message


def _one_text(message: Entry) -> Entry:
    match message.get("content"):
        case [{"type": "text", "text": text, **more}] if not more:
            return {**message, "content": text}
    return message


def _document_as_text(message: Entry) -> Entry:
    match message.get("content"):
        case [{"type": "document", "document": {"data": data}}]:
            return {**message, "content": json.dumps(data)}
    return message


def _parsed_arguments(message: Entry) -> Entry:
    calls = [
        {**call, "function": {**call["function"], "arguments": json.loads(arguments)}}
        for call in message.get("tool_calls") or ()
        for arguments in [call["function"]["arguments"]]
    ]
    return {**message, "tool_calls": calls} if calls else message


_THOUGHT = re.compile(r"^<think>\n(.*)\n</think>\s*", re.DOTALL)


def _reasoning_by_one_name(message: Entry) -> Entry:
    told = dict(message)
    names = {told.pop(name) for name in ("reasoning", "reasoning_content") if told.get(name)}
    content = told.get("content")
    inside = _THOUGHT.match(content) if isinstance(content, str) else None
    if isinstance(content, str) and inside is not None:
        names.add(inside[1])
        told["content"] = content[inside.end() :] or None
    assert len(names) < 2, "one reasoning, whatever it is called"
    return {**told, "reasoning": names.pop()} if names else told


def _as_blocks(message: Entry) -> Entry:
    said = blocks(message["content"])
    results = ({**b, "content": blocks(b["content"])} if _is_result(b) else b for b in said)
    return {**message, "content": list(results)}


def _is_result(block: Entry) -> bool:
    return bool(block["type"] == "tool_result")


def _defaults(block: Entry) -> Entry:
    plain = without(is_error=False, caller={"type": "direct"}, citations=None)
    if block["type"] == "mcp_tool_result":
        return plain({**block, "content": [plain(entry) for entry in block["content"]]})
    return plain(block)


def _without_uploads(message: Entry) -> Entry:
    content = message["content"]
    if not isinstance(content, list):
        return message
    return {**message, "content": [b for b in content if b["type"] != "container_upload"]}


def _success(message: Entry) -> Entry:
    if message["role"] == "assistant":
        return message  # AWS's own results of hosted tools keep theirs
    plain = without(status="success")
    said = [
        {"toolResult": plain(block["toolResult"])} if "toolResult" in block else block
        for block in message["content"]
    ]
    return {**message, "content": said}


def _named(kind: str, change: Change) -> Change:
    """Of parts that have a field of this name."""
    return lambda part: {**part, kind: change(part[kind])} if kind in part else part


def _output_in_words(result: Entry) -> Entry:
    return {**result, "response": response_text(result["response"])}


def _without_thoughts(content: Entry) -> Entry:
    return {**content, "parts": [part for part in content["parts"] if "thought" not in part]}


def _without_copied_signatures(content: Entry) -> Entry:
    seen: list[str] = []
    kept = []
    for part in content["parts"]:
        signature = part.get("thoughtSignature")
        kept.append(without("thoughtSignature")(part) if signature in seen else part)
        seen += [signature] if signature else []
    return {**content, "parts": kept}


def _without_ids(part: Entry) -> Entry:
    bare = without("id")
    return _named("functionCall", bare)(_named("functionResponse", bare)(part))


def _attached(history: list[Entry]) -> list[Entry]:
    """Media right behind the output they came with, without the lines that introduce them."""
    told: list[Entry] = []
    for content in history:
        media = [_spelled(part) for part in content["parts"] if _is_media(part)]
        results = [part for part in content["parts"] if "functionResponse" in part]
        if content["role"] != "user" or not (media or results):
            told.append(content)
        elif results:
            told.append({**content, "parts": [*results, *media]})
        else:
            told[-1]["parts"] += media
    return told


def _is_media(part: Entry) -> bool:
    return "inline_data" in part or "inlineData" in part


def _spelled(part: Entry) -> Entry:
    if "inlineData" in part:
        return part
    blob = part["inline_data"]
    return {"inlineData": {"mimeType": blob["mime_type"], "data": blob["data"]}}


def _unsaid(item: Entry) -> Entry:
    said = without(content=[], approval_request_id=None, status=None)({"type": "message", **item})
    if said["type"] == "message" and isinstance(item["content"], list):
        plain = without(annotations=[], logprobs=[], detail="auto")
        said["content"] = [plain(part) for part in item["content"]]
    return said


def _hosted_results(item: Entry) -> Entry:
    names = {"mcp_list_tools": "tools", "mcp_call": "output", "code_interpreter_call": "outputs"}
    return without(names.get(item["type"], ""))(item)


_STRAIGHT = {0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"'}


def _straight(part: Entry) -> Entry:
    return {**part, "text": part["text"].translate(_STRAIGHT)} if "text" in part else part


def _numbered_calls(history: list[Entry]) -> list[Entry]:
    """Each output belongs to the last call of its id."""
    numbers: dict[str, int] = {}
    told = []
    for n, item in enumerate(history):
        if item["type"] == "function_call":
            numbers[item["call_id"]] = n
        told.append({**item, "call_id": numbers[item["call_id"]]} if "call_id" in item else item)
    return told


# --- the list

CHAT, MESSAGES, CONVERSE = "chat completions", "Anthropic Messages", "Bedrock Converse"
GEMINI, RESPONSES = "Gemini", "Responses"

DIFFERENCES: Sequence[Difference] = (
    Difference(
        (CHAT,),
        "marks for a prompt cache on single parts",
        "they are hints, and each client places its own",
        parts(without("cache_control")),
        ("openrouter",),
    ),
    Difference(
        (CHAT,),
        "one text as a string or as a list with one part",
        "both are the format's spelling of it",
        messages(_one_text),
    ),
    Difference(
        (CHAT,),
        "`reasoning`, `reasoning_content`, both, or `<think>` before the words",
        "ours is the name that the vendor uses itself; the words are compared",
        messages(_reasoning_by_one_name),
    ),
    Difference(
        (CHAT,),
        "null, an empty text or no content in a message that only calls",
        "vendors differ in what they refuse, and each gets what it takes",
        messages(_without_empty_content),
    ),
    Difference(
        (CHAT,),
        "blanks in the arguments of a call",
        "ours go back as they came; that client writes the JSON anew",
        messages(_parsed_arguments),
    ),
    Difference(
        (CHAT,),
        "an empty `reasoning_content`",
        "DeepSeek refuses calls without the field where it thought, and ignores it elsewhere",
        messages(without(reasoning_content="")),
        ("deepseek",),
    ),
    Difference(
        (CHAT,),
        "no reasoning is told to a server of unknown make",
        "one that knows no such field may refuse it",
        messages(without("reasoning")),
        ("crusoe",),
    ),
    Difference(
        (CHAT,),
        "`format` and `index` of reasoning details",
        "that client kept type, text and signature only; ours go back whole",
        parts(without("format", "index"), "reasoning_details"),
        ("openrouter",),
    ),
    Difference(
        (CHAT,),
        "a tool's output as a document",
        "only Cohere's own API has those; in its compatible one the output is text",
        messages(_document_as_text),
        ("cohere",),
    ),
    Difference(
        (MESSAGES,),
        "one text as a string or as a block, in messages and in results",
        "both are the format's spelling of it",
        messages(_as_blocks),
    ),
    Difference(
        (MESSAGES,),
        "`cache_control`",
        "it is a hint, and each client places its own",
        parts(without("cache_control")),
    ),
    Difference(
        (MESSAGES,),
        "`is_error: false`, `caller: direct` and `citations: null`",
        "their absence says the same",
        parts(_defaults),
    ),
    Difference(
        (MESSAGES,),
        "files uploaded into a container",
        "no Responses item says that",
        messages(_without_uploads),
    ),
    Difference(
        (CONVERSE,),
        "`status: success` of a client's result",
        "its absence says the same",
        messages(_success),
    ),
    Difference(
        (GEMINI,),
        "the object around a tool's output",
        "the API wants some object, and reads any",
        parts(_named("functionResponse", _output_in_words), "parts"),
    ),
    Difference(
        (GEMINI,),
        "media of a tool: in the content of its output or in the next, with or without a line",
        "they follow the output that they came with; only models from Gemini 3 on take them inside",
        _attached,
    ),
    Difference(
        (GEMINI,),
        "thoughts in words",
        "all parts go back as they came; that client leaves these out",
        messages(_without_thoughts),
    ),
    Difference(
        (GEMINI,),
        "ids of calls and results",
        "those that came go back, and belong together; that client leaves them out",
        parts(_without_ids, "parts"),
    ),
    Difference(
        (GEMINI,),
        "a signature on a later call that came without one",
        "that client copied the first call's",
        messages(_without_copied_signatures),
    ),
    Difference(
        (RESPONSES,),
        "`type` of a message, empty lists, null, and `detail: auto`",
        "their absence says the same",
        messages(_unsaid),
    ),
    Difference(
        (RESPONSES,),
        "ids and `status` of items",
        "nothing is looked up by them where the upstream stores nothing",
        messages(without("id", "status")),
    ),
    Difference(
        (RESPONSES,),
        "what hosted tools put out: `tools`, `output`, `outputs`",
        "all of it goes back as it came; that client leaves it out",
        messages(_hosted_results),
        ("openai",),
    ),
    Difference(
        (RESPONSES,),
        "typographic quotes",
        "the recording made them straight",
        parts(_straight),
        ("openai",),
    ),
    Difference(
        (RESPONSES,),
        "call ids where an upstream uses the same ones again, or too long ones",
        "each client makes others; which outputs belong to which calls is compared",
        _numbered_calls,
        ("bedrock_mantle",),
    ),
)


def listed() -> str:
    """As docs/providers.md says it."""
    lines = (f"- {', '.join(d.providers or d.formats)}: {d.what}; {d.why}." for d in DIFFERENCES)
    return "\n".join(lines)
