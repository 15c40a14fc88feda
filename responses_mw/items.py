"""Input items: which there are, what each must have, and the one form in which they are stored.

Only what a single request can show is checked here: whether a call was answered is for the service,
whether a provider can take an item for its adapter. Fields that no table names are kept.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from responses_mw import parts
from responses_mw.checks import (
    MAX_TEXT,
    UNSUPPORTED,
    Field,
    Shape,
    Wrong,
    check_each,
    check_shape,
    check_typed,
    length,
    missing,
    not_among,
    not_too_deep,
    one_of,
    without_nulls,
    wrong_type,
)
from responses_mw.ids import input_item_id
from responses_mw.json_schema import component, given, said_as
from responses_mw.later import ITEM_TYPES as LATER
from responses_mw.tool_schema import SHAPES as TOOLS

Item = dict[str, Any]

ROLES = ("user", "assistant", "system", "developer")
MOST_COMPACTIONS = 16
"""In one input: a few kilobytes each may stand for megabytes."""


def _required(name: str, type: type = str) -> Field:
    return Field(name, type, required=True)


def _status(*allowed: str) -> Field:
    return Field("status", str, check=one_of(*allowed))


@said_as(parts.content_schema(parts.TOOL_OUTPUT))
def _tool_output(value: Any, at: str) -> None:
    parts.check_content(value, at, parts.TOOL_OUTPUT)


@said_as(
    {
        "required": ["content"],
        "if": given("role", const="assistant"),
        "then": {"properties": {"content": parts.content_schema(parts.ASSISTANT)}},
        "else": {"properties": {"content": parts.content_schema(parts.OTHERS)}},
    }
)
def _message_content(item: Mapping[str, Any]) -> None:
    allowed = parts.ASSISTANT if item["role"] == "assistant" else parts.OTHERS
    content = item.get("content")
    if content is None:
        raise missing("content")
    parts.check_content(content, "content", allowed)


@said_as({"items": component("input_tool")})
def _offered(value: Any, at: str) -> None:
    check_each(value, at, lambda tool: check_typed(tool, TOOLS))


_ID = Field("id", str)
_CALL_ID = Field("call_id", str, required=True, check=length(1, 64))
# Longer and freer than the name of a tool: what a model called must be re-sendable.
_NAME = Field("name", str, required=True, check=length(1, 256))
_OUTPUT = Field("output", object, required=True, check=_tool_output)
_STATUS = _status("in_progress", "completed", "incomplete")
_EXECUTION = Field("execution", str, check=one_of("server", "client"))
_SEARCH_STATUS = _status("in_progress", "searching", "completed", "incomplete", "failed")

TRIGGER = "compaction_trigger"
SHAPES: Mapping[str, Shape] = {
    "message": Shape(
        [
            _ID,
            Field("role", str, required=True, check=one_of(*ROLES)),
            _STATUS,
            Field("phase", str, check=one_of("commentary", "final_answer")),
        ],
        _message_content,
    ),
    "function_call": Shape([_ID, _CALL_ID, _NAME, _required("arguments"), _STATUS]),
    "function_call_output": Shape([_ID, _CALL_ID, _OUTPUT, _STATUS]),
    "reasoning": Shape(
        [
            _ID,
            Field("summary", list, required=True, check=parts.list_of("summary_text")),
            Field("content", list, check=parts.list_of("reasoning_text")),
            Field("encrypted_content", str, check=length(0, MAX_TEXT)),
            _STATUS,
        ]
    ),
    "custom_tool_call": Shape([_ID, _CALL_ID, _NAME, _required("input"), _STATUS]),
    "custom_tool_call_output": Shape([_ID, _CALL_ID, _OUTPUT, _STATUS]),
    "file_search_call": Shape([_ID, _required("queries", list), _SEARCH_STATUS]),
    # xAI's has no action, and what an upstream said must be re-sendable.
    "web_search_call": Shape([_ID, Field("action", dict), _SEARCH_STATUS]),
    "computer_call": Shape([_ID, _CALL_ID, Field("pending_safety_checks", list), _STATUS]),
    "computer_call_output": Shape(
        [
            _ID,
            _CALL_ID,
            _required("output", dict),
            _status("in_progress", "completed", "incomplete", "failed"),
        ]
    ),
    "image_generation_call": Shape(
        [_ID, Field("result", str), _status("in_progress", "completed", "generating", "failed")]
    ),
    "code_interpreter_call": Shape(
        [
            _ID,
            _required("container_id"),
            Field("code", str),
            Field("outputs", list),
            _status("in_progress", "completed", "incomplete", "interpreting", "failed"),
        ]
    ),
    "local_shell_call": Shape([_ID, _CALL_ID, _required("action", dict), _STATUS]),
    # Its id is the call it answers.
    "local_shell_call_output": Shape([_required("id"), _required("output"), _STATUS]),
    "shell_call": Shape([_ID, _CALL_ID, _required("action", dict), _STATUS]),
    "shell_call_output": Shape([_ID, _CALL_ID, _required("output", list), _STATUS]),
    "apply_patch_call": Shape(
        [_ID, _CALL_ID, _required("operation", dict), _status("in_progress", "completed")]
    ),
    "apply_patch_call_output": Shape(
        [_ID, _CALL_ID, Field("output", str), _status("completed", "failed")]
    ),
    "mcp_list_tools": Shape([_ID, _required("server_label"), _required("tools", list)]),
    "mcp_approval_request": Shape([_ID, _required("server_label"), _NAME, _required("arguments")]),
    "mcp_approval_response": Shape(
        [_ID, _required("approval_request_id"), _required("approve", bool), Field("reason", str)]
    ),
    "mcp_call": Shape(
        [
            _ID,
            _required("server_label"),
            _NAME,
            _required("arguments"),
            Field("output", str),
            _status("in_progress", "completed", "incomplete", "calling", "failed"),
        ]
    ),
    "tool_search_call": Shape(
        [_ID, Field("call_id", str), _required("arguments", dict), _EXECUTION, _STATUS]
    ),
    "tool_search_output": Shape(
        [_ID, Field("call_id", str), _required("tools", list), _EXECUTION, _STATUS]
    ),
    "additional_tools": Shape(
        [
            _ID,
            Field("role", str, required=True, check=one_of("developer")),
            Field("tools", list, required=True, check=_offered),
        ]
    ),
    "program": Shape([_ID, _CALL_ID, _required("code"), _required("fingerprint")]),
    "program_output": Shape(
        [_ID, _CALL_ID, _required("result"), _status("completed", "incomplete")]
    ),
    "item_reference": Shape([Field("id", str, required=True, check=length(1, 256))]),
    "compaction": Shape(
        [_ID, Field("encrypted_content", str, required=True, check=length(1, MAX_TEXT))]
    ),
    TRIGGER: Shape([_ID]),
}

LINKS = Shape([Field("call_id", str), Field("approval_request_id", str)])
"""Of every item, whatever its type: items are told apart and found by them."""

CALL_SIDES = {
    kind: "outputs" if kind.endswith("output") else "calls"
    for kind, shape in SHAPES.items()
    if _CALL_ID in shape.fields
}
_PART_OUTPUTS = ("function_call_output", "custom_tool_call_output")
_DONE = {"status": "completed"}
_CALL_BY = {"call_id": None, "execution": "server", "status": "completed"}
_NOTHING: Mapping[str, Any] = {}
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "message": _DONE,
    "function_call": _DONE,
    "function_call_output": _DONE,
    "reasoning": _DONE,
    "custom_tool_call": _DONE,
    "custom_tool_call_output": _DONE,
    "file_search_call": _DONE,
    "web_search_call": _DONE,
    "computer_call": {"pending_safety_checks": [], "status": "completed"},
    "computer_call_output": _DONE,
    "image_generation_call": {"result": None, "status": "completed"},
    "code_interpreter_call": {"code": None, "outputs": None, "status": "completed"},
    "local_shell_call": _DONE,
    "local_shell_call_output": _DONE,
    "shell_call": {"environment": None, "status": "completed"},
    "shell_call_output": {"max_output_length": None, "status": "completed"},
    "apply_patch_call": _DONE,
    "apply_patch_call_output": _DONE,
    "mcp_call": _DONE,
    "tool_search_call": _CALL_BY,
    "tool_search_output": _CALL_BY,
    "program_output": _DONE,
}
"""What OpenAI's list of items wants present and a client may leave out."""


def type_of(item: Mapping[str, Any]) -> str:
    """Of a checked item. A message and an item_reference may leave their `type` out."""
    given = item.get("type")
    if given is None:
        return "message" if "role" in item or "content" in item else "item_reference"
    return str(given)


def check_items(items: Sequence[Any]) -> None:
    """Raises Wrong with a path that begins at the item: `[0].role`."""
    sides: dict[str, str] = {}
    others: list[tuple[int, Item]] = []
    for index, item in enumerate(items):
        if _is_plain_message(item):
            continue
        others.append((index, item))
        try:
            _check_item(item, sides)
        except Wrong as wrong:
            raise wrong.under(f"[{index}]") from None
    compactions = sum(item.get("type") == "compaction" for _, item in others)
    if compactions > MOST_COMPACTIONS:
        raise Wrong("", f"may hold at most {MOST_COMPACTIONS} compactions, not {compactions}")
    for index, item in others:
        if is_trigger(item) and index != len(items) - 1:
            raise Wrong(f"[{index}]", "is a compaction_trigger, which must be the last item")
    try:
        not_too_deep(others)
    except Wrong:
        for index, item in others:
            not_too_deep(item, f"[{index}]")


def is_trigger(item: Item) -> bool:
    """Of a checked item: it asks for a compaction, and is no part of what is said."""
    return item.get("type") == TRIGGER


def _is_plain_message(item: Any) -> bool:
    """Most of what is sent: a role and text, and not a key more. Says nothing about the others.

    A long history is checked at the price of reading it; the tables would cost several times that.
    """
    if type(item) is not dict or "role" not in item or "content" not in item:
        return False
    if len(item) != 2 and (len(item) != 3 or item.get("type") != "message"):
        return False
    role, content = item["role"], item["content"]
    if role not in ROLES:
        return False
    if type(content) is not list:
        return type(content) is str and len(content) <= MAX_TEXT
    text_type = "output_text" if role == "assistant" else "input_text"
    try:
        for part in content:
            text = part["text"]
            if part["type"] != text_type or type(text) is not str or len(part) != 2:
                return False
            if len(text) > MAX_TEXT:
                return False
    except (KeyError, TypeError):  # no such key, or no object at all
        return False
    return True


def _check_item(item: Any, sides: dict[str, str]) -> None:
    """`sides` has where each call_id stood last: a call once answered may lend its id to another,
    as some providers count calls from zero in each turn."""
    if type(item) is not dict:
        raise wrong_type("", item, "an object")
    kind = item.get("type")
    if type(kind) is not str or kind not in SHAPES:
        kind = _type_that_was_meant(item)
    check_shape(item, SHAPES[kind])
    check_shape(item, LINKS)
    side = CALL_SIDES.get(kind)
    if side is not None:
        if sides.get(item["call_id"]) == side:
            raise Wrong("call_id", f"is used by two {side} of this input; each needs its own")
        sides[item["call_id"]] = side
    elif kind == "item_reference":
        sides.clear()  # it may stand for a call: checked again once it is resolved


def _type_that_was_meant(item: Mapping[str, Any]) -> str:
    given = item.get("type")
    if given is not None and type(given) is not str:
        raise wrong_type("type", given, "a string")
    if given is None and not item.keys() & {"role", "content", "id"}:
        raise missing("type")
    kind = type_of(item)
    if kind in LATER:
        raise Wrong("", f"is a {kind}, which is not supported yet; {LATER[kind]}", UNSUPPORTED)
    if kind not in SHAPES:
        raise not_among("type", kind, SHAPES)
    return kind


def normalise(item: Item, id: str) -> Item:
    """A checked item as it is stored and listed; `id` is used if the client gave none.

    Messages get a list as `content`, everything its `type` and `status`; nulls are left out.
    """
    kind = type_of(item)
    given = without_nulls(item)
    stored = {**_DEFAULTS.get(kind, _NOTHING), **given, "id": given.get("id") or id, "type": kind}
    if kind == "message":
        stored["content"] = _content(item["content"], assistant=item["role"] == "assistant")
    elif kind in _PART_OUTPUTS and isinstance(item["output"], list):
        stored["output"] = parts.normalise_parts(item["output"], assistant=False)
    return stored


def _content(content: str | list[parts.Part], *, assistant: bool) -> list[parts.Part]:
    if isinstance(content, str):
        return [parts.text_part(content, assistant=assistant)]
    return parts.normalise_parts(content, assistant=assistant)


def stored_items(items: Sequence[Item], response_id: str) -> list[Item]:
    """Checked input items under the ids that they have in this response.

    A client's id that came before in this input gives way to ours, so that each can be listed: xAI
    gives two items of one answer the same id.
    """
    stored = []
    seen: set[str] = set()
    for index, item in enumerate(items):
        own = input_item_id(response_id, type_of(item), index)
        listed = normalise(item, own)
        if listed["id"] in seen:
            listed["id"] = own
        seen.add(listed["id"])
        stored.append(listed)
    return stored
