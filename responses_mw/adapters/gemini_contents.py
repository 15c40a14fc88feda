"""Builds the contents of a request from the conversation: items and native turns in, parts out.

Everything about the order and shape of contents stands here; everything else that a request says is
in `gemini_encode.py`. Nothing that comes in is modified.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from responses_mw.adapters.gemini_models import ModelRules
from responses_mw.adapters.media import read_data_url, read_file_data, type_of_url
from responses_mw.adapters.pieces import LeaveOut, Pieces
from responses_mw.errors import UnsupportedByProvider
from responses_mw.turn import CALLS, Item, Span, Turn

Part = dict[str, Any]
Content = dict[str, Any]

SKIP_SIGNATURE = base64.b64encode(b"skip_thought_signature_validator").decode()
"""Documented: stands for the signature of a call that another model made."""

_FILES = "https://generativelanguage.googleapis.com/v1beta/"
_RESULT_TYPES = ("image/jpeg", "image/png", "image/webp", "application/pdf", "text/plain")
_ATTACHED = "The output is attached to the next message."


@dataclass(slots=True)
class _Content:
    role: str
    parts: list[Part] = field(default_factory=list)

    def body(self) -> dict[str, Any]:
        return {"role": self.role, "parts": self.parts}


@dataclass(slots=True)
class _Step:
    """Calls of one model content, and the contents with their results, which follow it at once."""

    calls: list["_Call"] = field(default_factory=list)
    attachments: list[Part] = field(default_factory=list)


@dataclass(slots=True)
class _Call:
    name: str
    id: str | None
    step: _Step
    result: Part | None = None


class Contents(Pieces):
    """`system` and `contents` in the API's order: the results of calls follow the calls at once,
    in one content, in the order of the calls."""

    API = "generateContent"

    def __init__(self, rules: ModelRules, leave_out: LeaveOut) -> None:
        super().__init__(leave_out)
        self.system: list[Part] = []
        self._rules = rules
        self._contents: list[tuple[_Content, _Step]] = []
        self._calls: dict[str, _Call] = {}

    def finish(self) -> list[dict[str, Any]]:
        """The contents. An input of instructions alone is said by the user: there must be one."""
        if not self._contents and self.system:
            self._contents.append((_Content("user", [self.system.pop()]), _Step()))
        finished: list[dict[str, Any]] = []
        for content, step in self._contents:
            finished.append(content.body())
            results = [call.result for call in step.calls if call.result is not None]
            if results:
                finished.append({"role": "user", "parts": results})
            if step.attachments:
                finished.append({"role": "user", "parts": step.attachments})
        return finished

    # --- pieces

    def _add_native(self, span: Span) -> None:
        assert span.native is not None
        content, step = self._model()
        known = [item["call_id"] for item in span.items if item["type"] in CALLS]
        for part in span.native.state:
            content.parts.append(part)
            call = part.get("functionCall")
            if call is not None and known:
                self._expect(known.pop(0), _Call(call["name"], call.get("id"), step))

    def _add_message(self, item: Item) -> None:
        role = item["role"]
        parts = [self._part(part, role) for part in item["content"]]
        said = [part for part in parts if part is not None]
        if not said:
            return
        if role == "assistant":
            self._model()[0].parts.extend(said)
        elif role == "user":
            self._contents.append((_Content("user", said), _Step()))
        elif not self._contents:
            self.system.extend(said)
        else:
            marked = [{"text": f"<system>\n{part['text']}\n</system>"} for part in said]
            self._contents.append((_Content("user", marked), _Step()))

    def _add_call(self, item: Item, arguments: Mapping[str, Any]) -> None:
        content, step = self._model()
        call_id, name = item["call_id"], item["name"]
        part: Part = {"functionCall": {"id": call_id, "name": name, "args": arguments}}
        if self._rules.call_signatures and not any("functionCall" in p for p in content.parts):
            part = _unverified(part)
        content.parts.append(part)
        self._expect(call_id, _Call(name, call_id, step))

    def _expect(self, call_id: str, call: _Call) -> None:
        call.step.calls.append(call)
        self._calls[call_id] = call

    def _add_result(self, item: Item) -> None:
        call = self._calls.get(item["call_id"])
        if call is None:
            raise UnsupportedByProvider(
                f"no call {item['call_id']!r} stands before its output", param="input"
            )
        response, media = self._output(item["output"], call)
        result: Part = {"name": call.name, "response": response}
        if call.id is not None:
            result["id"] = call.id
        if media:
            result["parts"] = media
        call.result = {"functionResponse": result}

    def _output(
        self, output: str | Sequence[Mapping[str, Any]], call: _Call
    ) -> tuple[dict[str, Any], list[Part]]:
        """The result as an object, and the media in it. What a result cannot hold is attached."""
        if isinstance(output, str):
            return {"result": output}, []
        parts = [part for p in output if (part := self._part(p, "user")) is not None]
        texts = [part["text"] for part in parts if "text" in part]
        media = [part for part in parts if "text" not in part and self._fits_result(part)]
        others = [part for part in parts if "text" not in part and not self._fits_result(part)]
        if others:
            label = f"Attached to the output of call {call.id or call.name}:"
            call.step.attachments += [{"text": label}, *others]
            texts = texts or [_ATTACHED]
        return ({"result": "\n".join(texts)} if texts or not media else {}), media

    def _fits_result(self, part: Part) -> bool:
        if not self._rules.media_results:
            return False
        source = part.get("inlineData") or part["fileData"]
        return source.get("mimeType") in _RESULT_TYPES

    def _model(self) -> tuple[_Content, _Step]:
        """The model's content that still grows: until a result or anyone else follows."""
        if self._contents:
            content, step = self._contents[-1]
            answered = any(call.result is not None for call in step.calls)
            if content.role == "model" and not answered:
                return content, step
        self._contents.append((_Content("model"), _Step()))
        return self._contents[-1]

    # --- parts

    def _part(self, part: Mapping[str, Any], role: str) -> Part | None:
        match part["type"]:
            case "input_text" | "output_text" | "text":
                return {"text": part["text"]} if part["text"] else None
            case "refusal":
                return {"text": part["refusal"]} if part["refusal"] else None
            case "input_image" if role == "user":
                return self._image(part)
            case "input_file" if role == "user":
                return self._file(part)
            case "input_audio" if role == "user":
                audio = part["input_audio"]
                return _inline(f"audio/{audio['format']}", audio["data"])
            case "input_video" if role == "user":
                return _at(part["video_url"])
            case other:
                raise UnsupportedByProvider(
                    f"Gemini cannot take a {other!r} part in a {role} message", param="input"
                )

    def _image(self, part: Mapping[str, Any]) -> Part:
        self._choose_detail(part)
        url = part.get("image_url")
        if url is None:
            return _uploaded(part.get("file_id"))
        return _inline(*read_data_url(url)) if url[:5].lower() == "data:" else _at(url)

    def _file(self, part: Mapping[str, Any]) -> Part:
        self._choose_detail(part)
        if part.get("file_data") is not None:
            return _inline(*read_file_data(part["file_data"], part.get("filename")))
        if part.get("file_url") is not None:
            return _at(part["file_url"], part.get("filename"))
        return _uploaded(part.get("file_id"))

    def _choose_detail(self, part: Mapping[str, Any]) -> None:
        if part.get("detail") not in (None, "auto"):
            self._leave_out(f"{part['type']}.detail", "Gemini chooses the detail of media")


def contents(
    turn: Turn, scope: str, rules: ModelRules, leave_out: LeaveOut
) -> tuple[list[Part], list[dict[str, Any]]]:
    """The parts of the system instruction, and the contents."""
    built = Contents(rules, leave_out)
    if turn.instructions:
        built.system.append({"text": turn.instructions})
    for piece in turn.replay(scope):
        built.add(piece)
    finished = built.finish()
    return built.system, finished


def without_signatures(contents: Sequence[Content], rules: ModelRules) -> list[Content]:
    """The same, but that no signature of a model's stands in it. What was nothing else goes."""
    bare = [{**content, "parts": _unsigned(content["parts"], rules)} for content in contents]
    return [content for content in bare if content["parts"]]


def _unsigned(parts: Sequence[Part], rules: ModelRules) -> list[Part]:
    bare = [{k: v for k, v in part.items() if k != "thoughtSignature"} for part in parts]
    bare = [part for part in bare if part not in ({}, {"text": ""})]
    first = next((n for n, part in enumerate(bare) if "functionCall" in part), None)
    if rules.call_signatures and first is not None:
        bare[first] = _unverified(bare[first])
    return bare


def _unverified(call: Part) -> Part:
    return {**call, "thoughtSignature": SKIP_SIGNATURE}


def _inline(media_type: str, data: str) -> Part:
    return {"inlineData": {"mimeType": media_type, "data": data}}


def _at(uri: str, filename: str | None = None) -> Part:
    file = {"fileUri": uri}
    media_type = type_of_url(uri) or type_of_url(filename or "")
    if media_type is not None:
        file["mimeType"] = media_type
    return {"fileData": file}


def _uploaded(file_id: Any) -> Part:
    """A file of Google's: its name (`files/abc`), or its address (`https://`, `gs://`)."""
    if isinstance(file_id, str) and file_id.startswith("files/"):
        return _at(_FILES + file_id)
    if isinstance(file_id, str) and file_id.startswith(("gs://", _FILES)):
        return _at(file_id)
    raise UnsupportedByProvider(
        f"{file_id!r} is not a file of Google's (files/NAME or gs://BUCKET/NAME); "
        "send the content itself",
        param="input",
    )
