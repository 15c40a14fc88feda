"""Content parts: what a message or a tool's output may be made of, and the form they are stored in.

What each part of a request must look like stands here; which provider can take it does not.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from responses_mw.checks import (
    MAX_TEXT,
    MISSING,
    Check,
    Field,
    Shape,
    Wrong,
    check_each,
    check_shape,
    check_typed,
    length,
    one_of,
    shape_schema,
    without_nulls,
    wrong_type,
)
from responses_mw.json_schema import JsonSchema, given, refer, said_as

Part = dict[str, Any]

_MAX_IMAGE_URL = 20 * 1024 * 1024
_MAX_FILE_DATA = 32 * 1024 * 1024
# Only the head is looked at: the rest may be megabytes, and the provider decodes it anyway.
# Written so that they mean the same in JSON Schema: no flags, and no \s, another set there.
_WEB_URL = re.compile(r"^[hH][tT][tT][pP][sS]?://[^\x00-\x20/?#]")
_IMAGE_DATA = re.compile(
    r"^[dD][aA][tT][aA]:[iI][mM][aA][gG][eE]/[A-Za-z0-9_.+-]+(;[A-Za-z0-9_.+=-]+)*"
    r";[bB][aA][sS][eE]64,[A-Za-z0-9+/]"
)


@said_as({"maxLength": _MAX_IMAGE_URL, "pattern": f"{_WEB_URL.pattern}|{_IMAGE_DATA.pattern}"})
def _image_url(value: Any, at: str) -> None:
    length(1, _MAX_IMAGE_URL)(value, at)
    if _WEB_URL.match(value) is None and _IMAGE_DATA.match(value) is None:
        raise Wrong(
            at,
            "must be an http or https URL, or a data URL (data:image/png;base64,...) of an image",
        )


@said_as({"pattern": _WEB_URL.pattern})
def _web_url(value: Any, at: str) -> None:
    if _WEB_URL.match(value) is None:
        raise Wrong(at, "must be an http or https URL")


def _one_source(*names: str) -> Any:
    """Exactly one of the fields says where the bytes are."""

    @said_as({"oneOf": [given(name) for name in names]})
    def rule(part: Mapping[str, Any]) -> None:
        given = [name for name in names if part.get(name) is not None]
        if not given:
            raise Wrong(names[0], f"is required (or {' or '.join(names[1:])})", MISSING)
        if len(given) > 1:
            raise Wrong(given[1], f"cannot be combined with {given[0]}; send one of the two")

    return rule


_TEXT = length(0, MAX_TEXT)
_ANNOTATION = Shape([Field("type", str, required=True)])
_AUDIO = Shape(
    [
        Field("data", str, required=True),
        Field("format", str, required=True, check=one_of("mp3", "wav")),
    ]
)


@said_as(shape_schema(_AUDIO))
def _audio(value: Any, at: str) -> None:
    try:
        check_shape(value, _AUDIO)
    except Wrong as wrong:
        raise wrong.under(at) from None


@said_as({"items": shape_schema(_ANNOTATION)})
def _annotations(value: Any, at: str) -> None:
    check_each(value, at, _annotation)


def _annotation(value: Any) -> None:
    if type(value) is not dict:
        raise wrong_type("", value, "an object")
    check_shape(value, _ANNOTATION)


SHAPES: Mapping[str, Shape] = {
    "input_text": Shape([Field("text", str, required=True, check=_TEXT)]),
    "input_image": Shape(
        [
            Field("image_url", str, check=_image_url),
            Field("file_id", str, check=length(1, 512)),
            Field("detail", str, check=one_of("low", "high", "auto", "original")),
        ],
        _one_source("image_url", "file_id"),
    ),
    "input_file": Shape(
        [
            Field("file_data", str, check=length(1, _MAX_FILE_DATA)),
            Field("file_url", str, check=_web_url),
            Field("file_id", str, check=length(1, 512)),
            Field("filename", str),
            Field("detail", str, check=one_of("auto", "low", "high")),
        ],
        _one_source("file_data", "file_url", "file_id"),
    ),
    "input_audio": Shape([Field("input_audio", dict, required=True, check=_audio)]),
    "input_video": Shape([Field("video_url", str, required=True, check=_web_url)]),
    "output_text": Shape(
        [
            Field("text", str, required=True, check=_TEXT),
            Field("annotations", list, check=_annotations),
            Field("logprobs", list),
        ]
    ),
    "refusal": Shape([Field("refusal", str, required=True, check=_TEXT)]),
    "summary_text": Shape([Field("text", str, required=True, check=_TEXT)]),
    "reasoning_text": Shape([Field("text", str, required=True, check=_TEXT)]),
}

# OpenAI's easy form lets an assistant's text be an input_text, too; it is stored as output_text.
ASSISTANT = ("output_text", "refusal", "input_text")
OTHERS = ("input_text", "input_image", "input_file", "input_audio")
TOOL_OUTPUT = ("input_text", "input_image", "input_file", "input_video")


def check_content(value: Any, at: str, allowed: Collection[str]) -> None:
    """A string, or a list of parts of the allowed types."""
    if type(value) is str:
        _TEXT(value, at)
    elif type(value) is list:
        check_parts(value, at, allowed)
    else:
        raise wrong_type(at, value, "a string or an array")


def check_parts(value: Any, at: str, allowed: Collection[str]) -> None:
    check_each(value, at, lambda part: check_typed(part, SHAPES, of=allowed))


def list_of(*allowed: str) -> Check:
    @said_as(_list_schema(allowed))
    def check(value: Any, at: str) -> None:
        check_parts(value, at, allowed)

    return check


def content_schema(allowed: Collection[str]) -> JsonSchema:
    """Of what `check_content` lets pass."""
    return {"anyOf": [{"type": "string", "maxLength": MAX_TEXT}, _list_schema(allowed)]}


def _list_schema(allowed: Collection[str]) -> JsonSchema:
    return {"type": "array", "items": {"anyOf": [refer("part", kind) for kind in allowed]}}


def text_part(text: str, *, assistant: bool) -> Part:
    if assistant:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "input_text", "text": text}


def normalise_parts(parts: Sequence[Part], *, assistant: bool) -> list[Part]:
    """Checked parts as they are stored: no nulls but those that a list of items wants."""
    return [_normalise(part, assistant=assistant) for part in parts]


def _normalise(part: Part, *, assistant: bool) -> Part:
    kind, given = part["type"], without_nulls(part)
    if assistant and kind != "refusal":
        return {**text_part(part["text"], assistant=True), **given, "type": "output_text"}
    if kind == "input_image":
        return {"image_url": None, "detail": "auto", **given}
    return given
