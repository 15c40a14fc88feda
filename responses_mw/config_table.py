"""One mapping of a configuration file: gives values of the type asked for, and knows its place.

What a table was never asked for is what nobody reads; `finish` reports it. Messages name paths and
types, never values.
"""

import datetime
import difflib
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

from responses_mw.errors import ConfigurationError

ENVIRONMENT = "os.environ/"
TYPO = 0.8
WORD = 0.65
"""How alike two keys, and each two of their words, must be (0..1) for one to be the other,
misspelt."""

Word = TypeVar("Word", bound=str)


class Table:
    """Text may be `os.environ/NAME`: then it is that variable's value. Missing values are None."""

    def __init__(
        self, value: Mapping[str, Any], path: str, warnings: list[str], unset: Sequence[str] = ()
    ) -> None:
        """`unset`: see `unset_variables`. Whoever is told of one wants to set them all."""
        self.path = path
        self._value = value
        self._warnings = warnings
        self._unset = unset
        self._asked: set[str] = set()

    @property
    def keys(self) -> list[str]:
        return [str(key) for key in self._value]

    def has(self, key: str) -> bool:
        return key in self._value

    def text(self, key: str) -> str | None:
        value = self._get(key)
        if value is None:
            return None
        if type(value) is datetime.date:  # what YAML takes `api_version: 2024-06-01` for
            return value.isoformat()
        if not isinstance(value, str):
            raise self._wrong(key, value, "text")
        if not value.startswith(ENVIRONMENT):
            return value
        variable = value.removeprefix(ENVIRONMENT)
        found = os.environ.get(variable)
        if not found:
            others = ", ".join(name for name in self._unset if name != variable)
            also = f"; nor are {others}, which the file names, too" if others else ""
            raise ConfigurationError(
                f"{self._at(key)} reads the environment variable {variable}, which is not set{also}"
            )
        return found

    def required_text(self, key: str) -> str:
        value = self.text(key)
        if not value:
            raise self._missing(key)
        return value

    def name(self, key: str) -> str | None:
        """Text, or a number without quotes."""
        value = self._get(key)
        return str(value) if type(value) is int else self.text(key)

    def one_of(self, key: str, known: Sequence[Word]) -> Word | None:
        value = self.text(key)
        if value is None:
            return None
        for word in known:
            if word == value:
                return word
        raise ConfigurationError(f"{self._at(key)} must be one of {', '.join(known)}")

    def number(self, key: str) -> float | None:
        value = self._get(key)
        if isinstance(value, str):
            value = self.text(key)
        if value is None:
            return None
        if isinstance(value, bool):
            raise self._wrong(key, value, "a number")
        try:
            return float(value)
        except (TypeError, ValueError):
            raise self._wrong(key, value, "a number") from None

    def integer(self, key: str) -> int | None:
        number = self.number(key)
        if number is not None and number != int(number):
            raise self._wrong(key, number, "a whole number")
        return None if number is None else int(number)

    def flag(self, key: str) -> bool | None:
        value = self._get(key)
        if value is not None and not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def table(self, key: str) -> "Table":
        """An empty one where there is none."""
        return self._inner(self._get(key), key)

    def required_table(self, key: str) -> "Table":
        if not self.has(key):
            raise self._missing(key)
        return self.table(key)

    def over(self, other: "Table") -> "Table":
        """With what the other says where this one says nothing."""
        merged = Table({**other._value, **self._value}, self.path, self._warnings, self._unset)
        merged._asked = self._asked
        return merged

    def mapping(self, key: str) -> dict[str, Any]:
        """As it is: its keys are none of ours."""
        value = self._get(key)
        if value is not None and not isinstance(value, Mapping):
            raise self._wrong(key, value, "a mapping")
        return dict(value or {})

    def tables(self, key: str) -> list["Table"]:
        value = self._get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._wrong(key, value, "a list")
        return [self._inner(entry, f"{key}[{n}]") for n, entry in enumerate(value)]

    def is_table(self, key: str) -> bool:
        return isinstance(self._value.get(key), Mapping)

    def texts(self, key: str) -> list[str] | None:
        value = self._get(key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            raise self._wrong(key, value, "a list of texts")
        return list(value)

    def text_or_texts(self, key: str) -> list[str] | None:
        value = self._get(key)
        return [value] if isinstance(value, str) else self.texts(key)

    def warn(self, message: str) -> None:
        self._warnings.append(message)

    def finish(self, *, elsewhere: Collection[str] = ()) -> None:
        """Warns of keys that were not read: those of `elsewhere` mean something to LiteLLM. Raises
        ConfigurationError for one that looks misspelt."""
        for key in self.keys:
            if key in self._asked:
                continue
            if key in elsewhere:
                self.warn(f"{self._at(key)} is LiteLLM's and has no effect here")
                continue
            nearest = difflib.get_close_matches(key, sorted({*self._asked, *elsewhere}), 1, 0.0)
            if nearest and _is_misspelt(key, nearest[0]):
                raise ConfigurationError(f"{self._at(key)} is unknown; {nearest[0]!r} is meant?")
            hint = f"; the nearest known key is {nearest[0]!r}" if nearest else ""
            self.warn(f"{self._at(key)} is unknown and has no effect{hint}")

    def _get(self, key: str) -> Any:
        self._asked.add(key)
        return self._value.get(key)

    def _inner(self, value: Any, key: str) -> "Table":
        if value is not None and not isinstance(value, Mapping):
            raise self._wrong(key, value, "a mapping")
        return Table(value or {}, self._at(key), self._warnings, self._unset)

    def _at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def _missing(self, key: str) -> ConfigurationError:
        unread = [other for other in self.keys if other not in self._asked]
        alike = difflib.get_close_matches(key, unread, 1, TYPO)
        if alike:
            return ConfigurationError(f"{self._at(alike[0])} is unknown; {key!r} is meant?")
        return ConfigurationError(f"{self._at(key)} is missing")

    def _wrong(self, key: str, value: Any, wanted: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self._at(key)} is of type {type(value).__name__}; {wanted} is needed"
        )


def _is_misspelt(key: str, known: str) -> bool:
    """A key with another word in it, or with one more, is another key."""
    words, theirs = key.split("_"), known.split("_")
    if len(words) != len(theirs):
        return key.replace("_", "") == known.replace("_", "")
    return _alike(key, known) >= TYPO and all(map(_is_nearly, words, theirs))


def _is_nearly(word: str, known: str) -> bool:
    return _alike(word, known) >= WORD


def _alike(text: str, other: str) -> float:
    return difflib.SequenceMatcher(None, text, other).ratio()


def unset_variables(value: Any) -> list[str]:
    """Those that a file names anywhere, each once, in its order."""
    match value:
        case Mapping():
            found = [name for inner in value.values() for name in unset_variables(inner)]
        case list():
            found = [name for inner in value for name in unset_variables(inner)]
        case str() if value.startswith(ENVIRONMENT):
            variable = value.removeprefix(ENVIRONMENT)
            found = [] if os.environ.get(variable) else [variable]
        case _:
            found = []
    return list(dict.fromkeys(found))
