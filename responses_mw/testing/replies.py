"""What CheckModel says: a handful of rules, each over nothing but the conversation it was sent.

Nothing here knows a test's expectations. A word comes back because an item of the turn holds it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

from responses_mw.testing.pictures import describe
from responses_mw.testing.providers import text_of
from responses_mw.turn import Turn

_SENTENCE = re.compile(r"[^.?!\n]+[.?!]*")
_ASKS = re.compile(r"\?|\b(?:what|which|who|whose|when|where|list|recall|remind)\b", re.I)
_COMMAND = re.compile(
    r"\s*(?:please )?(?:answer|be|count|invent|list|repeat|reply|say|tell|use|write)\b", re.I
)
_NUMBER = re.compile(r"\b(?:\d+|zero|one|two|three|four|five|six|seven|eight|nine|ten)\b", re.I)
_SMALL_WORDS = re.compile(
    r"(?:a|an|and|are|both|did|do|does|for|give|how|i|in|is|it|me|of|on|only|or|reply|that|the|this|"
    r"to|was|we|were|what|when|where|which|who|with|you|your)\Z"
)


@dataclass(frozen=True, slots=True)
class Conversation:
    """`question` is what the user said last; `earlier` is everything before it, oldest first."""

    question: str
    earlier: Sequence[tuple[str, str]]
    parts: Sequence[Mapping[str, Any]]
    tool_outputs: Sequence[str]
    """What tools answered since the model last spoke."""
    loud: bool

    @property
    def statements(self) -> list[str]:
        """What was told so far, each sentence once; neither questions nor commands."""
        told = [text for _, text in self.earlier]
        sentences = (found.strip() for text in told for found in _SENTENCE.findall(text))
        plain = (one for one in sentences if not one.endswith("?") and not _COMMAND.match(one))
        return list(dict.fromkeys(plain))


def conversation(turn: Turn) -> Conversation:
    items = list(turn.items)
    asked = max((n for n, item in enumerate(items) if item.get("role") == "user"), default=-1)
    last = items[asked] if asked >= 0 else {"content": []}
    before = [
        (str(item.get("role", item["type"])), text_of(item)) for item in items[: max(asked, 0)]
    ]
    rules = [turn.instructions or "", *(t for role, t in before if role in ("system", "developer"))]
    outputs: list[str] = []
    for item in reversed(items):
        if item["type"] != "function_call_output":
            break
        outputs.insert(0, text_of(item))
    return Conversation(
        question=" ".join(part["text"] for part in last["content"] if "text" in part),
        earlier=before,
        parts=last["content"],
        tool_outputs=outputs,
        loud=any("capital letters" in rule.lower() for rule in rules),
    )


def reply(talk: Conversation) -> str:
    for rule in _RULES:
        answer = rule(talk)
        if answer is not None:
            return answer.upper() if talk.loud else answer
    return f"You said: {talk.question}"


def content_words(text: str) -> set[str]:
    """Lower case, without plural and possessive endings, without the words that every text has."""
    found = re.findall(r"[a-z0-9]+", re.sub(r"'s\b", "", text.lower()))
    return {word.removesuffix("s") for word in found if not _SMALL_WORDS.match(word)}


# --- the rules, in the order in which they are tried


def _tool_answer(talk: Conversation) -> str | None:
    return "The tool answered: " + "; ".join(talk.tool_outputs) if talk.tool_outputs else None


def _summary(talk: Conversation) -> str | None:
    """Everything that was told, in its own words."""
    if not re.match(r"\s*(?:please )?(?:write a summary|summari[sz]e)\b", talk.question, re.I):
        return None
    return " ".join(talk.statements) or "Nothing was said."


def _picture(talk: Conversation) -> str | None:
    seen = [describe(part["image_url"]) for part in talk.parts if part.get("image_url")]
    return " ".join(seen) or None


def _literal(talk: Conversation) -> str | None:
    found = re.search(
        r"\b(?:reply|answer|say)(?: with)?(?: the number)? (OK|\d+)\b", talk.question, re.I
    )
    return None if found is None else f"{found[1]}."


def _greeting(talk: Conversation) -> str | None:
    found = re.search(
        r"\bsay (hello|hi|bye|goodbye)\b(?:.*exactly (\d+) words)?", talk.question, re.I
    )
    if found is None:
        return "Hello!" if re.fullmatch(r"(?:hi|hello)\W*", talk.question, re.I) else None
    length = int(found[2] or 1)
    return " ".join(islice(cycle([found[1].capitalize(), "and", "welcome"]), length)) + "."


def _count(talk: Conversation) -> str | None:
    found = re.search(r"\bcount (?:from (\d+) )?to (\d+)", talk.question, re.I)
    if found is None:
        return None
    between = "\n" if "per line" in talk.question else ", "
    return between.join(str(n) for n in range(int(found[1] or 1), int(found[2]) + 1))


def _letters(talk: Conversation) -> str | None:
    """How many of a letter are in a word; "and in ...?" asks for the same letter again."""
    pattern = r"how many (\w)(?:'?s)? are in (\w+)"
    found = re.search(pattern, talk.question, re.I)
    if found is not None:
        letter, word = found.groups()
    else:
        again = re.fullmatch(r"and in (\w+)\W*", talk.question, re.I)
        before = re.findall(pattern, " ".join(text for _, text in talk.earlier), re.I)
        if again is None or not before:
            return None
        letter, word = str(before[-1][0]), again[1]
    return f"{letter} is {word.lower().count(letter.lower())} times in {word}."


def _last_number(talk: Conversation) -> str | None:
    if not re.search(r"\brepeat only the number\b", talk.question, re.I):
        return None
    found = _NUMBER.findall(" ".join(text for _, text in talk.earlier))
    return str(found[-1]) if found else "There was no number."


def _again(talk: Conversation) -> str | None:
    if re.search(r"\brepeat it\b", talk.question, re.I):
        return str(_SENTENCE.findall(talk.question)[0]).strip()
    if re.fullmatch(r"and again\W*", talk.question, re.I):
        return next((text for role, text in reversed(talk.earlier) if role == "assistant"), None)
    return None


def _essay(talk: Conversation) -> str | None:
    found = re.search(r"\bessay\b.*?\b(\d+) words about ([^.?!]+)", talk.question, re.I)
    if found is None:
        return None
    sentence = f"Much can be said about {found[2]}, and each part of it deserves a closer look."
    return " ".join(islice(cycle(sentence.split()), int(found[1])))


def _memory(talk: Conversation) -> str | None:
    """Whatever was told that has a word in common with the question."""
    if not _ASKS.search(talk.question):
        return None
    asked = content_words(talk.question)
    known = [one for one in talk.statements if content_words(one) & asked]
    return " ".join(known) or "Nothing was said about that."


_RULES: tuple[Callable[[Conversation], str | None], ...] = (
    _tool_answer,
    _summary,
    _picture,
    _literal,
    _greeting,
    _count,
    _letters,
    _last_number,
    _again,
    _essay,
    _memory,
)
