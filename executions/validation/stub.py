"""An answer with nothing in it: its names, of their kinds, and whatever one does with them raises. Pure.

Tests that pass on it would pass on anything.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator

from executions.validation.expected_tests import Function
from executions.validation.outside_flow import own_nodes

_NOTHING = "_mge_nothing"
_EXCEPTIONS = frozenset(
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
)
_KEPT_DECORATORS = ("property", "staticmethod", "classmethod")
_SPECIAL = """abs add aiter anext and await bool bytes call ceil complex contains delattr delitem dir divmod enter
eq exit float floor floordiv format ge get getattr getitem gt hash iadd index instancecheck int invert isub iter
le len length_hint lshift lt matmul mod mul ne neg next or pos pow radd repr reversed rmul round rshift rsub
setitem str sub subclasscheck truediv trunc xor aenter aexit fspath""".split()  # noqa: SIM905 - sixty quoted words would be harder to read
_HEAD = [
    f"class {_NOTHING}:",
    "    def _raise(self, *args, **kwargs):",
    "        raise NotImplementedError",
    *(f"    __{name}__ = _raise" for name in _SPECIAL),
    "",
]


def stub_of(file_tree: ast.Module, answer_tree: ast.Module | None = None) -> str:
    """The text of a stub for the target file; with `answer_tree` what stems from other answers stays as it is."""
    own = None if answer_tree is None else {ast.dump(node) for node in answer_tree.body}
    lines, classes = list(_HEAD), set[str]()
    for node in file_tree.body:
        if own is not None and ast.dump(node) not in own:
            lines.append(ast.unparse(node))
        elif isinstance(node, ast.ImportFrom) and node.module == "__future__":
            continue
        else:
            lines += _bindings([node], "", classes)
    return "\n".join([*_futures(file_tree), *lines]) + "\n"


def _futures(tree: ast.Module) -> list[str]:
    """They must stand first, and matter to what is kept."""
    return [
        ast.unparse(node)
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
    ]


def _bindings(body: Iterable[ast.stmt], indent: str, classes: set[str]) -> Iterator[str]:
    """The stub of everything that these statements bind, in order."""
    for node in body:
        if isinstance(node, Function):
            yield from _function(node, indent)
        elif isinstance(node, ast.ClassDef):
            yield from _class(node, indent, classes)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and _names_all(node):
            yield indent + ast.unparse(node)
        else:
            for inner in own_nodes(node):
                if inner is not node and isinstance(inner, Function | ast.ClassDef):
                    yield from _bindings([inner], indent, classes)
                else:
                    for name in _bound(inner, node):
                        yield f"{indent}{name} = {_NOTHING}()"


def _bound(inner: ast.AST, statement: ast.stmt) -> Iterator[str]:
    if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
        if not (isinstance(statement, ast.AnnAssign) and statement.value is None):
            yield inner.id
    elif isinstance(inner, ast.Import | ast.ImportFrom):
        for alias in inner.names:
            if alias.name != "*":
                yield alias.asname or alias.name.split(".")[0]


def _names_all(node: ast.Assign | ast.AnnAssign) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    if not any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
        return False
    return isinstance(node.value, ast.List | ast.Tuple) and all(
        isinstance(item, ast.Constant) for item in node.value.elts
    )


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef, indent: str) -> Iterator[str]:
    # Parameters are no part of it: a test of the signature shall fail, since it proves something.
    start = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    yield f"{indent}{start} {node.name}(*args, **kwargs):"
    yield f"{indent}    raise NotImplementedError"


def _class(node: ast.ClassDef, indent: str, classes: set[str]) -> Iterator[str]:
    known = [
        base.id for base in node.bases if isinstance(base, ast.Name) and base.id in classes | _EXCEPTIONS
    ]
    if not indent:
        classes.add(node.name)
    yield f"{indent}class {node.name}({', '.join(dict.fromkeys(known))}):"
    inside = indent + "    "
    yield f"{inside}pass"
    properties: set[str] = set()
    for item in node.body:
        if isinstance(item, Function):
            if item.name == "__del__":
                continue
            yield from _decorators(item, inside, properties)
            yield from _function(item, inside)
        elif isinstance(item, ast.ClassDef):
            yield from _class(item, inside, classes)
        else:
            lines = list(_bindings([item], inside, classes))
            yield from (line for line in lines if not line.strip().startswith("__"))


def _decorators(
    node: ast.FunctionDef | ast.AsyncFunctionDef, indent: str, properties: set[str]
) -> Iterator[str]:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Name) and decorator.id in _KEPT_DECORATORS:
            properties |= {node.name} if decorator.id == "property" else set()
            yield f"{indent}@{decorator.id}"
        elif (
            isinstance(decorator, ast.Attribute)
            and isinstance(decorator.value, ast.Name)
            and decorator.value.id in properties
        ):
            yield f"{indent}@{decorator.value.id}.{decorator.attr}"
