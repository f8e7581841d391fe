"""Looking through code for statements that are put together from texts: SQL is parametrised only.

What lives here: the search. A statement may be written out, or joined of constants of its module,
which are written out too; whatever comes from elsewhere belongs into parameters. Expressions of
SQLAlchemy have no texts in them, and pass.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

_TAKING_SQL: Final = frozenset(
    {
        "DDL",
        "Query",
        "Question",
        "SQL",
        "copy",
        "exec_driver_sql",
        "execute",
        "executemany",
        "literal_column",
        "scalar",
        "scalars",
        "stream",
        "text",
    }
)
"""Functions and methods whose first argument may be the text of a statement."""


class Finding(NamedTuple):
    """A statement that is put together: where, in which function, and of what."""

    path: str
    function: str
    code: str


def findings_in(root: Path, folders: tuple[str, ...]) -> list[Finding]:
    """Look through every module of some folders."""
    found = []
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            source = path.read_text(encoding="utf-8")
            found += findings_of(source, path.relative_to(root).as_posix())
    return found


def findings_of(source: str, path: str = "") -> list[Finding]:
    """Look through one module."""
    tree = ast.parse(source)
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        # As a constant is written: what is imported is looked at where it is defined.
        if (alias.asname or alias.name).lstrip("_").isupper()
    }
    return list(_Module(path, constants, imported).findings(tree))


class _Module:
    def __init__(self, path: str, constants: Mapping[str, ast.expr], imported: set[str]) -> None:
        self._path = path
        self._constants = constants
        self._imported = imported

    def findings(
        self, node: ast.AST, function: str = "", locals_: ast.AST | None = None
    ) -> Iterator[Finding]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from self.findings(child, child.name, child)
                continue
            if (
                isinstance(child, ast.Call)
                and _name_of(child.func) in _TAKING_SQL
                and child.args
                and not self._is_written_out(child.args[0], locals_)
            ):
                yield Finding(self._path, function, ast.unparse(child.args[0]))
            yield from self.findings(child, function, locals_)

    def _is_written_out(self, node: ast.expr, function: ast.AST | None) -> bool:  # noqa: PLR0911 - one plain case for each kind
        """Tell whether a text is there in the code as a whole, or is no text at all."""
        match node:
            case ast.Constant():
                return True
            case ast.JoinedStr(values=values):
                return all(self._is_constant_part(value) for value in values)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._is_written_out(left, function) and self._is_written_out(
                    right, function
                )
            case ast.BinOp(left=ast.Constant(value=str() | bytes() as text), op=ast.Mod()):
                shown = text if isinstance(text, str) else text.decode()
                return shown.count("%") == shown.count("%d")
            case ast.BinOp():
                return not _has_text(node)
            case ast.Name(id=name):
                return self._is_written_out_name(name, function)
            case ast.IfExp(body=body, orelse=other):
                return self._is_written_out(body, function) and self._is_written_out(
                    other, function
                )
            case ast.Call(func=ast.Attribute(attr="encode", value=value)):
                return self._is_written_out(value, function)
            case ast.Call(func=ast.Attribute(attr="format" | "join" | "replace", value=value)):
                # Of an expression, and of psycopg's own SQL, which quotes what is put in.
                return isinstance(value, ast.Call)
            case _:
                return True

    def _is_constant_part(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Constant):
            return True
        return (
            isinstance(node, ast.FormattedValue)
            and isinstance(node.value, ast.Name)
            and (node.value.id in self._imported or self._is_constant(node.value.id))
        )

    def _is_constant(self, name: str) -> bool:
        value = self._constants.get(name)
        return value is not None and self._is_written_out(value, None)

    def _is_written_out_name(self, name: str, function: ast.AST | None) -> bool:
        if name in self._imported or name in self._constants:
            return name in self._imported or self._is_constant(name)
        if function is None:
            return True
        assigned = [
            one.value
            for one in ast.walk(function)
            if isinstance(one, ast.Assign | ast.AnnAssign | ast.AugAssign) and one.value is not None
            for target in (one.targets if isinstance(one, ast.Assign) else [one.target])
            if isinstance(target, ast.Name) and target.id == name
        ]
        # What a function is given is looked at where it is given.
        return all(
            self._is_written_out(value, None if _mentions(value, name) else function)
            for value in assigned
        )


def _name_of(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _mentions(node: ast.expr, name: str) -> bool:
    return any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(node))


def _has_text(node: ast.AST) -> bool:
    return any(
        isinstance(part, ast.JoinedStr)
        or (isinstance(part, ast.Constant) and isinstance(part.value, str | bytes))
        for part in ast.walk(node)
    )
