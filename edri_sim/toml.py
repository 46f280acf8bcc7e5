"""TOML, read so that each error names file, line and the nearest name, and written."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar, overload

from edri_sim.errors import DeclarationError

T = TypeVar("T")
Path_ = tuple[str | int, ...]
"""Where something stands in a document: keys, and the places in arrays."""

_AT = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_KINDS: dict[type, str] = {
    str: "a string", bool: "true or false", int: "a whole number", float: "a number", list: "an array", dict: "a table",
}  # fmt: skip


class Document:
    """One file: its text, and what it says. Raises DeclarationError where the file cannot be read, or is no TOML."""

    def __init__(self, path: Path | str) -> None:
        self.name = str(path)
        try:
            self._lines = Path(path).read_text(encoding="utf-8").split("\n")
            self.data = tomllib.loads("\n".join(self._lines))
        except OSError as error:
            raise DeclarationError(f"{path}: cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise DeclarationError(f"{path}: expected text in UTF-8: {error}") from error
        except tomllib.TOMLDecodeError as error:
            where = _AT.search(str(error))
            line = (where[1] if where else None) or str(len(self._lines))
            raise DeclarationError(f"{path}:{line}: no TOML: {_AT.sub('', str(error))}") from error
        if not self.data:
            raise DeclarationError(f"{path}: the file is empty")

    def root(self) -> Table:
        """All of it."""
        return Table(self, self.data, ())

    def place(self, path: Path_) -> str:
        """The name of the file, and the line of ``path`` if it has one."""
        return f"{self.name}:{self.line(path)}" if path and _has(self.data, path) else self.name

    def line(self, path: Path_) -> int:
        """The line, from 1, on which ``path`` first stands.

        The parser does not tell. But it can be asked whether the first so many lines say it already, by halves.
        """
        without, there = 0, len(self._lines)
        while there - without > 1:
            middle = (without + there) // 2
            count = self._without(middle, there, path)
            without, there = (without, middle) if count is None else (count, there)
        return without + 1

    def _without(self, first: int, end: int, path: Path_) -> int | None:
        """Of the counts of lines from ``first`` to before ``end``, the first that is TOML, if that has no ``path``."""
        for count in range(first, end):
            with suppress(tomllib.TOMLDecodeError):
                return None if _has(tomllib.loads("\n".join(self._lines[:count])), path) else count
        return None


def _has(data: Any, path: Path_) -> bool:
    for word in path:
        try:
            data = data[word]
        except (KeyError, IndexError, TypeError):
            return False
    return True


class Table:
    """One table of a document: keys are taken out of it one by one, and :meth:`done` refuses what is left."""

    def __init__(self, document: Document, data: Mapping[str, Any], path: Path_) -> None:
        self._document = document
        self._data = data
        self._path = path
        self._known: list[str] = []

    @property
    def name(self) -> str:
        """How it is called in errors, such as ``nodes.web`` or ``links[2]``."""
        return _named(self._path)

    def __contains__(self, key: str) -> bool:
        return key in self._data

    @overload
    def take(self, key: str, kind: type[T]) -> T | None: ...

    @overload
    def take(self, key: str, kind: type[T], default: T) -> T: ...

    def take(self, key: str, kind: type[T], default: T | None = None) -> T | None:
        """The value of ``key``, checked to be of ``kind``; ``default`` without one."""
        self._known.append(key)
        if key not in self._data:
            return default
        return self._checked(self._data[key], kind, key)

    def need(self, key: str, kind: type[T]) -> T:
        """The value of ``key``, checked to be of ``kind``, which has to be there."""
        found = self.take(key, kind)
        if found is None:
            self._name_the_nearest(key)
            raise self.error(f"{key!r} is missing: expected {_KINDS[kind]}")
        return found

    def any(self, key: str, default: Any = None) -> Any:
        """The value of ``key``, of whatever kind; ``default`` without one."""
        self._known.append(key)
        return self._data.get(key, default)

    def table(self, key: str) -> Table:
        """The table ``key``, or an empty one."""
        self._known.append(key)
        return self._below(self._data.get(key, {}), key)

    def need_table(self, key: str) -> Table:
        """The table ``key``, which has to be there."""
        if key not in self._data:
            self._name_the_nearest(key)
            raise self.error(f"there is no table [{key}]")
        return self.table(key)

    def tables(self, key: str) -> list[Table]:
        """The tables of the array ``key``, such as ``[[links]]``."""
        listed: list[Any] = self.take(key, list) or []
        return [self._below(item, key, place) for place, item in enumerate(listed)]

    def named_tables(self) -> dict[str, Table]:
        """All that is in this table, each as a table."""
        self._known.extend(self._data)
        return {key: self._below(self._data[key], key) for key in self._data}

    def rest(self) -> dict[str, Any]:
        """All keys that were not taken yet, with their values."""
        left = {key: value for key, value in self._data.items() if key not in self._known}
        self._known.extend(left)
        return left

    def done(self) -> None:
        """Refuse every key that was not taken. Raises DeclarationError with the nearest that is known."""
        for key in self._data:
            if key not in self._known:
                near = difflib.get_close_matches(key, self._known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(self._known)}"
                raise self.error(f"{key!r} is unknown: {hint}", key)

    @contextmanager
    def place(self, key: str | None = None) -> Iterator[None]:
        """Say of every DeclarationError in the block where in the file it comes from."""
        try:
            yield
        except Located:
            raise
        except DeclarationError as error:
            raise self._located(str(error), key) from error

    def error(self, words: str, key: str | None = None) -> DeclarationError:
        """An error of this table, or of one of its keys."""
        return self._located(f"{self.name}: {words}" if self._path else words, key)

    def _name_the_nearest(self, missing: str) -> None:
        """If a key that was not taken is nearly the ``missing`` one, say so."""
        for key in self._data:
            if key not in self._known and difflib.get_close_matches(key, [missing], n=1):
                raise self.error(f"{key!r} is unknown: did you mean {missing!r}?", key)

    def _located(self, words: str, key: str | None) -> Located:
        path = self._path if key is None or key not in self._data else (*self._path, key)
        return Located(f"{self._document.place(path)}: {words}")

    def _checked(self, value: Any, kind: type[T], key: str) -> T:
        whole_for_float = kind is float and type(value) is int
        if type(value) is not kind and not whole_for_float:
            raise self.error(f"{key} = {_shown(value)}: expected {_KINDS[kind]}", key)
        return kind(value) if whole_for_float else value  # type: ignore[call-arg]

    def _below(self, value: Any, *keys: str | int) -> Table:
        if not isinstance(value, dict):
            raise self.error(f"{_named(keys)} = {_shown(value)}: expected a table", str(keys[0]))
        return Table(self._document, value, (*self._path, *keys))


class Located(DeclarationError):
    """An error that says already where in a file it comes from."""


def _named(path: Sequence[str | int]) -> str:
    words = [f"[{word + 1}]" if isinstance(word, int) else f".{word}" for word in path]
    return "".join(words).removeprefix(".")


def _shown(value: Any) -> str:
    try:
        return _value(value)
    except DeclarationError:
        return repr(value)


# Writing


def dump(document: Mapping[str, Any]) -> str:
    """A document: plain values, tables of tables, and lists of tables, as TOML. None is left out.

    Raises DeclarationError for a value that TOML has no form for.
    """
    parts: list[str] = []
    _dump(document, "", parts, deep=False)
    return "\n".join(parts).lstrip("\n") + "\n"


def _dump(table: Mapping[str, Any], path: str, parts: list[str], *, deep: bool) -> None:
    """Write a table's values, and then what is below it; what is ``deep`` has all that is below it in its lines."""
    below = {} if deep else {key: value for key, value in table.items() if _has_header(value, path)}
    given = {key: value for key, value in table.items() if key not in below and value is not None}
    parts += [f"{_key(key)} = {_value(value)}" for key, value in given.items()]
    for key, value in below.items():
        name = f"{path}{_key(key)}"
        if isinstance(value, list):
            for item in value:
                parts += ["", f"[[{name}]]"]
                _dump(item, "", parts, deep=True)
            continue
        if path or not value or not all(isinstance(item, dict) for item in value.values()):
            parts += ["", f"[{name}]"]
        _dump(value, f"{name}.", parts, deep=bool(path))


def _has_header(value: Any, path: str) -> bool:
    is_array = isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)
    return isinstance(value, dict) or (is_array and not path)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_key(key)} = {_value(item)}' for key, item in value.items())}}}"
    raise DeclarationError(f"{value!r} can't be written to a file: expected text, numbers, true or false, or lists")
