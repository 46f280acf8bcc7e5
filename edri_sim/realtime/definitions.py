"""What a module's source defines at its top level, and what of it an edit has changed."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Definition:
    """One name: the statements that bind it, without their places in the file, and the names that they use."""

    text: list[str] = field(default_factory=list)
    uses: dict[str, None] = field(default_factory=dict)


class Source:
    """The source of one module. Raises SyntaxError."""

    def __init__(self, text: str, path: str) -> None:
        self.path = path
        self.tree = ast.parse(text, path)
        self.meaning = ast.dump(self.tree)
        """All of it, without comments and the places of things: what is the same here does the same."""
        self.definitions: dict[str, Definition] = {}
        for statement in self.tree.body:
            for name in _bound(statement):
                definition = self.definitions.setdefault(name, Definition())
                definition.text.append(ast.dump(statement))
                definition.uses.update(dict.fromkeys(_used(statement)))

    def classes(self) -> dict[str, ast.ClassDef]:
        """The classes that are defined once, and nowhere but in a statement of their own."""
        classes = {statement.name: statement for statement in self.tree.body if isinstance(statement, ast.ClassDef)}
        return {name: cls for name, cls in classes.items() if len(self.definitions[name].text) == 1}

    def imports(self, package: str) -> Iterator[tuple[str, str, str]]:
        """Each import, wherever it stands: the module, the name taken from it (or ""), and what it is called here."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield alias.name, "", alias.asname or alias.name.partition(".")[0]
            elif isinstance(node, ast.ImportFrom):
                module = _absolute(node, package)
                for alias in node.names:
                    yield module, alias.name, alias.asname or alias.name

    def reached(self, names: Iterable[str]) -> dict[str, None]:
        """These names, and whatever of this module they use, directly or not."""
        reached: dict[str, None] = {}
        waiting = [name for name in names if name in self.definitions]
        while waiting:
            name = waiting.pop()
            if name not in reached:
                reached[name] = None
                waiting += [used for used in self.definitions[name].uses if used in self.definitions]
        return reached

    def without(self, names: Collection[str]) -> ast.Module:
        """The module's statements, but for the classes of these names."""
        body = [one for one in self.tree.body if not (isinstance(one, ast.ClassDef) and one.name in names)]
        return ast.Module(body, self.tree.type_ignores)


def changed(old: Source, new: Source, imported: Collection[str] = ()) -> dict[str, None]:
    """The names that are not what they were: by their own statements, or by what those use.

    ``imported`` are the names here of what has changed where it comes from.
    """
    both = {**old.definitions, **new.definitions}
    none = Definition()
    own = [
        name
        for name in both
        if name in imported or old.definitions.get(name, none).text != new.definitions.get(name, none).text
    ]
    found = dict.fromkeys(own)
    return {name: None for name in both if any(used in found for used in (*old.reached([name]), *new.reached([name])))}


def _bound(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement binds in its module."""
    if isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        yield statement.name
        return
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.alias):
            yield node.asname or node.name.partition(".")[0]


def _used(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement uses; an annotation may name a class as a string."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield node.value


def _absolute(node: ast.ImportFrom, package: str) -> str:
    """The name of the module from which something is imported, ``package`` being that of the importing module."""
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    base = ".".join(parts[: len(parts) - node.level + 1])
    return f"{base}.{node.module}" if node.module else base
