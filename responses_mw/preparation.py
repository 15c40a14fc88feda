"""From a request to a turn: what it refers to is read from the store, what it may not say
refused."""

import dataclasses
from collections.abc import Awaitable, Collection, Sequence
from typing import Any, TypeVar

from responses_mw import checks, prompts, references
from responses_mw.chains import Chain
from responses_mw.compaction import Compacting, Triggered
from responses_mw.conversation import NOTHING, rebuild, said_in
from responses_mw.errors import Conflict, InvalidRequest, NotFound
from responses_mw.items import stored_items
from responses_mw.router import Answers
from responses_mw.runtime import Runtime
from responses_mw.schema import CreateRequest, turn_from
from responses_mw.seals import Sealer
from responses_mw.store_errors import previous_response_not_found, unavailable
from responses_mw.truncation import Truncating
from responses_mw.turn import Item, Turn
from stores.base import RUNNING, History, StoreError

T = TypeVar("T")

_OF_THE_WINDOW = 0.8
"""Where compaction is asked for without a threshold: the rest is for the answer."""


class Preparation:
    """Of one owner's requests."""

    def __init__(self, runtime: Runtime, owner: str) -> None:
        self._runtime = runtime
        self._owner = owner
        room = runtime.settings.max_body_bytes
        self._sealer = Sealer(runtime.seal_key, owner, room=room)
        self.notes: dict[str, str] = {}
        """Headers of the answer: what was done to the turn before it was asked."""

    async def expanded(self, request: CreateRequest) -> CreateRequest:
        """With what its `prompt` stands for. Raises InvalidRequest if that is unknown or wrong."""
        if request.prompt is None:
            return request
        named = request.prompt.model_dump()
        template = await prompts.template(self._runtime.settings.prompts, named)
        sent = request.sent()
        del sent["input"]
        if "input" in request.model_fields_set:
            sent["input"] = request.input
        expanded = CreateRequest.of(prompts.merged(template, sent))
        if not expanded.model:
            raise checks.missing("model").error()
        return expanded

    async def history(self, id: str | None) -> History | None:
        """The chain that ends with a response. Raises InvalidRequest if it is missing or runs."""
        if id is None:
            return None
        history = await kept(self._runtime.chains.history(id, owner=self._owner))
        if history is None:
            raise previous_response_not_found(id)
        if history.status in RUNNING:
            raise Conflict(
                f"Response '{id}' is still being generated; continue it when it has ended.",
                param="previous_response_id",
                code="response_in_progress",
                headers={"Retry-After": "1"},
            )
        return history

    async def said_in(self, conversation: str) -> History:
        """What a conversation holds, without the items that were deleted from it."""
        store = self._runtime.store
        found = await kept(store.conversation(conversation, owner=self._owner))
        history = await kept(store.history(conversation, owner=self._owner))
        if found is None or history is None:
            raise conversation_not_found(conversation)
        return said_in(history, found.hidden)

    async def items(
        self, request: CreateRequest, id: str, history: History | None = None
    ) -> list[Item]:
        """The request's own as they are stored for the response `id`, none of them a reference."""
        said: set[str] = set()
        if references.has_references(request.items):
            if request.conversation_id is not None:
                history = await self.said_in(request.conversation_id)
            turns = [] if history is None else history.turns
            said = {item["id"] for turn in turns for item in (*turn.input, *turn.output)}
        return stored_items(await self.resolved(request.items, said), id)

    async def resolved(
        self, items: Sequence[Item], said: Collection[str] = (), *, at: str = "input"
    ) -> Sequence[Item]:
        """Without references, and with no compaction that is not ours. `said` items are left out
        where they are referred to; `at` is the parameter. Raises InvalidRequest."""
        if references.has_references(items):
            items = await kept(
                references.resolve(items, self._runtime.store, owner=self._owner, said=said, at=at)
            )
        for n, item in enumerate(items):
            if item.get("type") == "compaction" and not self._sealer.is_compaction(item):
                raise InvalidRequest(
                    f"The compaction '{at}[{n}]' was not made here for this user, or was changed; "
                    "send the items it stands for.",
                    param=f"{at}[{n}]",
                    code="invalid_value",
                )
        return items

    def turn(self, request: CreateRequest, history: History | None, items: list[Item]) -> Turn:
        """`items` are the request's own, as they are stored."""
        settled = history.settled if isinstance(history, Chain) else NOTHING
        unseal = self._sealer.spans
        spans = rebuild(history, unseal(items), unseal=unseal, settled=settled)
        turn = turn_from(request, spans, request.model, beginning=settled.beginning)
        changes: dict[str, Any] = {}
        if request.background:
            changes["stream"] = True
        if self._runtime.settings.strict:
            changes["strict"] = True
        return dataclasses.replace(turn, **changes) if changes else turn

    def answers(self, request: CreateRequest) -> Answers:
        """Who is asked: the router, or what shortens the turn before it, as the request wants.
        Raises InvalidRequest for a threshold that is missing."""
        answers: Answers = self._runtime.router
        if request.is_triggered:
            return Triggered(answers, seal=self._sealer.seal_compaction)
        if request.truncation == "disabled" and not request.context_management:
            return answers
        window = self._runtime.router.max_input_tokens(request.model)
        if request.truncation == "auto":
            answers = Truncating(answers, self.notes, window=window)
        if request.context_management:
            threshold = request.context_management[0].compact_threshold
            if threshold is None and window is None:
                raise InvalidRequest(
                    "'context_management[0].compact_threshold' is required: how many tokens "
                    f"{request.model!r} takes is not known here.",
                    param="context_management[0].compact_threshold",
                    code="missing_required_parameter",
                )
            threshold = threshold or int((window or 0) * _OF_THE_WINDOW)
            seal = self._sealer.seal_compaction
            answers = Compacting(answers, threshold=threshold, seal=seal)
        return answers


async def kept(reading: Awaitable[T]) -> T:
    """What a store answers, its failure told as ours."""
    try:
        return await reading
    except StoreError as error:
        raise unavailable(error) from error


def conversation_not_found(id: str) -> NotFound:
    return NotFound(f"Conversation with id '{id[:100]}' not found.")


def check_asked(request: CreateRequest, *, generate: bool) -> None:
    """What parameters ask of each other where a response is created. Raises InvalidRequest."""
    if request.background and not request.store:
        raise InvalidRequest(
            "background: true needs store: true, for its answer is read from the store.",
            param="background",
            code=checks.INVALID_VALUE,
        )
    # As at OpenAI: instructions alone are not enough, and a message without a word is.
    before = (request.previous_response_id, request.conversation, request.prompt)
    if generate and not request.input and before == (None, None, None):
        raise InvalidRequest(
            "'input' is empty, and no previous_response_id, conversation or prompt goes before it.",
            param="input",
            code=checks.MISSING,
        )
