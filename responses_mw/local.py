"""A small model inside this process, to try things out without a key: a Provider over llama.cpp.

llama.cpp is a chat-completions upstream that is called instead of posted to. One thread of its own
loads the model and generates, one turn at a time; turns are asked for and heard on the event loop.
"""

import asyncio
import dataclasses
import importlib.util
import secrets
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson

from responses_mw import weights
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.chat_dialects import LLAMACPP
from responses_mw.adapters.decoding import well_formed
from responses_mw.deltas import (
    Delta,
    ItemFinished,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    UpstreamInfo,
)
from responses_mw.errors import ConfigurationError, UpstreamRefused, UpstreamUnavailable
from responses_mw.sse import ServerSentEvent
from responses_mw.turn import Turn

Chunk = dict[str, Any]

NAME = "local"
MAX_WAITING = 64
MAX_OUTPUT_TOKENS = 512
"""Unless the client sets it: a model this small may talk in circles until its context is full."""
REPEAT_PENALTY = 1.1

# The file's own template adds a system prompt that makes this quantisation answer nonsense.
CHATML = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class LocalModel:
    """`path` is a GGUF file with ChatML turns; None: the weights that `fetch-model` brought.

    Loaded at the first turn (or by `load`), 0.4 GB with the default weights. More than one of
    `threads` slow each other down on a machine that does anything else.
    """

    def __init__(
        self, path: Path | str | None = None, *, context: int = 8192, threads: int = 1
    ) -> None:
        if importlib.util.find_spec("xllamacpp") is None:
            raise ConfigurationError(
                "the local model needs xllamacpp: pip install 'responses-mw[local]'"
            )
        self._path = None if path is None else Path(path)
        self._context = context
        self._threads = threads
        self._adapter = ChatCompletions(LLAMACPP)
        self._thread: ThreadPoolExecutor | None = None
        self._engine: Any = None
        self._answers: set[_Answer] = set()

    @property
    def needs_weights(self) -> bool:
        """Whether `weights.fetch` is what brings the file it loads."""
        return self._path is None

    async def load(self) -> None:
        """So that the first turn need not wait for it. Raises UpstreamUnavailable."""
        await asyncio.wrap_future(self._submit(self._load))

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        """Always generates as a stream: only then can it be stopped."""
        turn = dataclasses.replace(turn, stream=True)
        request = self._adapter.encode(turn)
        forced = turn.choice == "required"
        body = _with_limits(_forcing_a_call(request.body, turn) if forced else request.body)
        deltas = self._deltas(body, turn, request.dropped)
        try:
            async for delta in _as_call(deltas) if forced else deltas:
                yield delta
        finally:
            await deltas.aclose()

    async def aclose(self) -> None:
        """Stops the turns under way and frees the memory. A later turn loads the model again."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        for answer in self._answers:
            answer.stop()
        thread.submit(self._unload)
        await asyncio.to_thread(thread.shutdown)

    # --- on the event loop

    async def _deltas(
        self, body: Chunk, turn: Turn, dropped: tuple[str, ...]
    ) -> AsyncGenerator[Delta, None]:
        if len(self._answers) >= MAX_WAITING:
            raise UpstreamRefused(
                f"{MAX_WAITING} turns are waiting for the local model already",
                status=429,
                type="rate_limit_error",
                code="rate_limit_exceeded",
                provider=NAME,
                retry_after=5,
            )
        answer = _Answer(asyncio.get_running_loop())
        self._answers.add(answer)
        job = self._submit(lambda: self._generate(body, answer))
        try:
            decoder = self._adapter.decoder(turn)
            accepted = False
            async for chunk in answer:
                self._check(chunk)
                if not accepted:
                    accepted = True
                    yield UpstreamInfo(dropped=dropped)
                if "prompt_progress" not in chunk:
                    event = ServerSentEvent(None, orjson.dumps(chunk))
                    with well_formed(NAME):
                        deltas = list(decoder.feed(event))
                    for delta in deltas:
                        yield delta
            with well_formed(NAME):
                deltas = list(decoder.close())
            for delta in deltas:
                yield delta
        finally:
            answer.stop()
            job.cancel()
            self._answers.discard(answer)

    def _check(self, chunk: Chunk) -> None:
        error = chunk.get("error")
        if isinstance(error, dict):
            code = error.get("code")
            status = code if isinstance(code, int) and code >= 400 else 500
            raise self._adapter.error(status, {}, orjson.dumps(chunk))

    def _submit(self, work: Callable[[], None]) -> "Future[None]":
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="responses-mw-local-model")
        return self._thread.submit(work)

    # --- on the model's thread

    def _generate(self, body: Chunk, answer: "_Answer") -> None:
        """What goes wrong is said through the answer: nobody waits for this thread."""
        try:
            if not answer.stopped:
                self._load()
                self._engine.handle_chat_completions(body, answer.put)
        except UpstreamUnavailable as error:
            answer.end(error)
        except (RuntimeError, ValueError) as error:
            # llama.cpp's own refusals of a body: images, a schema it has no grammar for.
            refusal = orjson.dumps({"error": {"message": str(error)}})
            answer.end(self._adapter.error(400, {}, refusal))
        else:
            answer.end(None)

    def _load(self) -> None:
        if self._engine is not None:
            return
        path = self._path or weights.SMOLLM2.path
        if not path.is_file():
            remedy = "run `responses-mw fetch-model`" if self._path is None else "check the path"
            message = f"the local model's weights are not at {path}: {remedy}"
            raise UpstreamUnavailable(message, provider=NAME)
        import xllamacpp

        try:
            self._engine = xllamacpp.Server(self._parameters(path))
        except (RuntimeError, ValueError) as error:
            message = f"llama.cpp could not load {path}: {error}"
            raise UpstreamUnavailable(message, provider=NAME) from error

    def _parameters(self, path: Path) -> Any:
        import xllamacpp

        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path)
        parameters.model_alias = {path.stem}
        parameters.n_ctx = self._context
        parameters.n_parallel = 1
        # The whole of a batch is read before a turn can be stopped, and before progress is told.
        parameters.n_batch = 512
        parameters.cpuparams.n_threads = self._threads
        parameters.cpuparams_batch.n_threads = self._threads
        parameters.cache_ram_mib = 64
        parameters.sampling.temp = 0.2
        parameters.use_jinja = True
        parameters.chat_template = CHATML
        parameters.verbosity = -1
        # It listens on a loopback port of its own, which nobody is to talk to.
        parameters.ui = False
        parameters.api_keys = [secrets.token_urlsafe(32)]
        return parameters

    def _unload(self) -> None:
        self._engine = None


class _Answer:
    """Chunks on their way from the model's thread to the event loop, in order.

    Not bounded here: the context bounds them, and a slow reader must not hold up the turns behind.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: asyncio.Queue[Chunk | Exception | None] = asyncio.Queue()
        self._stop = threading.Event()

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    def stop(self) -> None:
        self._stop.set()

    def put(self, chunk: Chunk) -> bool:
        """llama.cpp's callback; True makes it stop."""
        if not self.stopped:
            self._hand_over(chunk)
        return self.stopped

    def end(self, error: Exception | None) -> None:
        self._hand_over(error)

    def _hand_over(self, value: Chunk | Exception | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, value)
        except RuntimeError:
            # The event loop was closed with the turn still running: nobody is left to hear it.
            self.stop()

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        while (value := await self._queue.get()) is not None:
            if isinstance(value, Exception):
                raise value
            yield value


def _with_limits(body: Chunk) -> Chunk:
    if body.get("max_tokens") is None and body.get("max_completion_tokens") is None:
        body = {**body, "max_tokens": MAX_OUTPUT_TOKENS}
    if "response_format" not in body:
        # Otherwise so small a model says one sentence until it is stopped. JSON has to repeat.
        body = {**body, "repeat_penalty": REPEAT_PENALTY}
    # While a long prompt is read, progress chunks are what a stop can be answered to.
    return {**body, "return_progress": True}


def _forcing_a_call(body: Chunk, turn: Turn) -> Chunk:
    """This model never calls a tool by itself: a grammar makes it say which one, and how."""
    names = [turn.forced_tool] if turn.forced_tool else None
    calls = [
        {
            "type": "object",
            "properties": {
                "name": {"const": tool["name"]},
                "arguments": tool.get("parameters") or {"type": "object"},
            },
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in turn.offered_tools
        if names is None or tool["name"] in names
    ]
    schema = {"name": "call", "schema": {"anyOf": calls}}
    kept = {key: value for key, value in body.items() if key not in ("tools", "tool_choice")}
    return {**kept, "response_format": {"type": "json_schema", "json_schema": schema}}


async def _as_call(deltas: AsyncIterator[Delta]) -> AsyncIterator[Delta]:
    """The forced call, once its JSON is whole; cut short by a token limit, there is none."""
    text = ""
    async for delta in deltas:
        if isinstance(delta, TextDelta):
            text += delta.text
            continue
        if isinstance(delta, Stopped) and delta.reason == "stop":
            for call in _call(text):
                yield call
        yield delta


def _call(text: str) -> Iterator[Delta]:
    call = orjson.loads(text)
    yield ToolCallStarted(0, call["name"])
    yield ToolCallDelta(0, orjson.dumps(call["arguments"]).decode())
    yield ItemFinished(0)
