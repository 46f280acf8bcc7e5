"""Whether a reader understands what a writer of another version sends.

Compatible are: a field that only one side has, if the reader has a default for it; a field or an item that only became
wider: int to float to NanFloat, a type to a union with it, a choice to more choices or to its plain type. All else that
changed is a problem, also where some values would pass, for they would mean something else.

Classes may contain themselves, so pairs of classes are compared one by one: each pair counts as fitting until it is
found not to, and the comparison is repeated while more pairs turn out bad.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from edri_sim.encoding.schema import Schema

Pair = tuple[int, int]
"""The numbers of a writer's and of a reader's class."""

_WIDER = {"int": ("float", "nan_float"), "float": ("nan_float",)}
_PLAIN_CHOICE: dict[str, type[Any]] = {"str": str, "int": int}
_STRUCTURE = ("kind", "items", "keys", "values", "members", "number", "open", "tag", "fields")


def compatible(writer: Schema, reader: Schema) -> tuple[str, ...]:
    """What a reader would not understand of a writer's values, each problem with its path; empty if all is well."""
    try:
        return _Comparison(writer["classes"], reader["classes"]).problems(writer["type"], reader["type"])
    except (KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        return (f"a schema cannot be read: {type(error).__name__} {error}",)


class _Findings:
    """Problems found at once, and pairs of classes that have to fit, with the path to each."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.needs: dict[Pair, str] = {}

    def problem(self, path: str, text: str) -> _Findings:
        self.problems.append(f"{path.lstrip('.') or 'the value'}: {text}")
        return self

    def add(self, others: Iterable[_Findings]) -> _Findings:
        for other in others:
            self.problems += other.problems
            self.needs = other.needs | self.needs
        return self


class _Comparison:
    def __init__(self, writer_classes: list[Any], reader_classes: list[Any]) -> None:
        self._writer_classes = writer_classes
        self._reader_classes = reader_classes
        self._bad: dict[Pair, None] = {}

    def problems(self, writer: Any, reader: Any) -> tuple[str, ...]:
        """All problems; repeated until no further pair of classes turns out bad."""
        while True:
            root, pairs = self._explore(writer, reader)
            bad = self._spread(pairs)
            if len(bad) == len(self._bad):
                return tuple(_Findings().add([root, *pairs.values()]).problems)
            self._bad = bad

    def _explore(self, writer: Any, reader: Any) -> tuple[_Findings, dict[Pair, _Findings]]:
        root = self.compare(writer, reader, "")
        pairs: dict[Pair, _Findings] = {}
        waiting = list(root.needs.items())
        for pair, path in waiting:
            if pair not in pairs:
                pairs[pair] = self._compare_classes(pair, path)
                waiting.extend(pairs[pair].needs.items())
        return root, pairs

    def _spread(self, pairs: dict[Pair, _Findings]) -> dict[Pair, None]:
        """The bad pairs: those with problems, and those that need a bad one."""
        bad = self._bad | dict.fromkeys(pair for pair, found in pairs.items() if found.problems)
        size = -1
        while size != len(bad):
            size = len(bad)
            bad |= dict.fromkeys(pair for pair, found in pairs.items() if any(need in bad for need in found.needs))
        return bad

    def _compare_classes(self, pair: Pair, path: str) -> _Findings:
        writer, reader = self._writer_classes[pair[0]], self._reader_classes[pair[1]]
        if writer["kind"] != reader["kind"] or writer.get("tag") != reader.get("tag"):
            return _Findings().problem(path, "the writer and the reader tell its class or its shape differently")
        return _RULES[writer["kind"]](self, writer, reader, path)

    def compare(self, writer: Any, reader: Any, path: str) -> _Findings:
        """Compare two types."""
        if _kind(writer) == "union":
            return _Findings().add(self.compare(member, reader, path) for member in writer["members"])
        if _kind(reader) == "union":
            return self._choose(writer, reader, path)
        if _kind(writer) == _kind(reader):
            rule = _RULES.get(_kind(writer))
            found = rule(self, writer, reader, path) if rule else _Findings()
        elif _is_wider(writer, reader):
            found = _Findings()
        else:
            return _Findings().problem(path, f"the writer sends {_show(writer)}, the reader takes {_show(reader)}")
        return found.add([_compare_limits(writer, reader, path)])

    def _choose(self, writer: Any, reader: Any, path: str) -> _Findings:
        for member in reader["members"]:
            found = self.compare(writer, member, path)
            if not found.problems and not any(need in self._bad for need in found.needs):
                return found
        return _Findings().problem(path, f"the writer sends {_show(writer)}, the reader takes {_show(reader)}")

    def classes(self, writer: Any, reader: Any, path: str) -> _Findings:
        """Two classes: their pair has to fit."""
        found = _Findings()
        found.needs[(writer["number"], reader["number"])] = path
        return found

    def fields(self, writer: Any, reader: Any, path: str) -> _Findings:
        """Two classes that travel as maps."""
        found = _Findings()
        for name, wanted in reader["fields"].items():
            given = writer["fields"].get(name)
            step = f"{path}.{name}"
            if given is not None:
                found.add([self.compare(given["type"], wanted["type"], step)])
            if wanted["presence"] == "required" and (given is None or given["presence"] == "optional"):
                found.problem(step, "the reader requires it, and the writer does not always send it")
        for name in writer["fields"]:
            if name not in reader["fields"] and not reader["open"]:
                found.problem(f"{path}.{name}", "the reader forbids fields that it does not know")
        return found

    def rows(self, writer: Any, reader: Any, path: str) -> _Findings:
        """Two arrays whose items have each their own meaning."""
        given, wanted = writer["items"], reader["items"]
        found = _Findings().add(
            self.compare(mine["type"], theirs["type"], f"{path}[{index}]")
            for index, (mine, theirs) in enumerate(zip(given, wanted, strict=False))
        )
        if any(item["presence"] == "required" for item in wanted[len(given) :]):
            found.problem(path, f"the writer sends {len(given)} items, the reader requires more")
        if len(given) > len(wanted) and not reader["open"]:
            found.problem(path, f"the writer sends {len(given)} items, the reader takes {len(wanted)}")
        return found

    def items(self, writer: Any, reader: Any, path: str) -> _Findings:
        """Two collections."""
        return self.compare(writer["items"], reader["items"], f"{path}[]")

    def maps(self, writer: Any, reader: Any, path: str) -> _Findings:
        """Two dicts."""
        keys = self.compare(writer["keys"], reader["keys"], f"{path}[key]")
        return keys.add([self.compare(writer["values"], reader["values"], f"{path}[]")])

    def choices(self, writer: Any, reader: Any, path: str) -> _Findings:
        """Two choices of values."""
        unknown = [value for value in writer["values"] if value not in reader["values"]]
        found = _Findings()
        return found.problem(path, f"the reader does not know {', '.join(map(repr, unknown))}") if unknown else found


_RULES: dict[str, Callable[[_Comparison, Any, Any, str], _Findings]] = {
    "class": _Comparison.classes,
    "object": _Comparison.fields,
    "row": _Comparison.rows,
    "array": _Comparison.items,
    "set": _Comparison.items,
    "map": _Comparison.maps,
    "choice": _Comparison.choices,
}


def _kind(described: Any) -> str:
    return described if isinstance(described, str) else str(described["kind"])


def _show(described: Any) -> str:
    """A type as a message names it."""
    return " | ".join(map(_kind, described["members"])) if _kind(described) == "union" else _kind(described)


def _is_wider(writer: Any, reader: Any) -> bool:
    if _kind(writer) == "choice":
        cls = _PLAIN_CHOICE.get(_kind(reader))
        return cls is not None and all(type(value) is cls for value in writer["values"])
    return _kind(reader) in _WIDER.get(_kind(writer), ())


def _compare_limits(writer: Any, reader: Any, path: str) -> _Findings:
    """A limit of the reader's has to be the writer's too, or values that the writer may send would be refused."""
    found = _Findings()
    for limit, value in _limits(reader).items():
        if _limits(writer).get(limit) != value:
            found.problem(path, f"the reader demands {limit}={value!r}, and the writer does not")
    return found


def _limits(described: Any) -> dict[str, Any]:
    if isinstance(described, str):
        return {}
    return {limit: value for limit, value in described.items() if limit not in _STRUCTURE}
