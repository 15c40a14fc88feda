"""Reads what a configuration file says, and the files that it includes.

What it means is not decided here. No message repeats a line: it may hold a key.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from responses_mw.errors import ConfigurationError


def read(path: Path) -> Mapping[str, Any]:
    """Lists of included files come after the file's own; of everything else theirs takes its place,
    as at LiteLLM. Included files include no others. Raises ConfigurationError."""
    content = _mapping(path)
    included = content.pop("include", None) or []
    if not isinstance(included, list) or not all(isinstance(name, str) for name in included):
        raise ConfigurationError(f"{path}: include must be a list of files")
    for name in included:
        for key, value in _mapping(path.parent / name).items():
            own = content.get(key)
            if isinstance(own, list) and isinstance(value, list):
                content[key] = [*own, *value]
            else:
                content[key] = value
    return content


def _mapping(path: Path) -> dict[str, Any]:
    try:
        import yaml
    except ModuleNotFoundError as error:
        message = "a configuration file needs PyYAML: pip install 'responses-mw[server]'"
        raise ConfigurationError(message) from error
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = "" if mark is None else f", line {mark.line + 1}, column {mark.column + 1}"
        # The parser's own message repeats the line, and with it perhaps a key.
        raise ConfigurationError(f"{path} is not valid YAML{place}") from None
    if not isinstance(content, Mapping):
        raise ConfigurationError(f"{path} holds no keys; it needs at least `model_list`")
    return dict(content)
