"""Which source lines of a kernel load weights or KV, so that its machine code can be told apart by line.

Reads the kernel's syntax tree: what is computed from a named pointer is a pointer into the same memory, what is loaded
through it is data. Helpers that the kernel calls are followed with the arguments they were given.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Final

Lines = frozenset[tuple[str, int]]
_LOADS: Final = ("load", "make_tensor_descriptor")


def lines_loading(kernel: Any, arguments: frozenset[str]) -> Lines:
    """Return (file, line) of every load whose address comes from one of `arguments` of a `triton.jit` function."""
    return frozenset(_lines(kernel, arguments, set()))


def _lines(kernel: Any, tainted: frozenset[str], seen: set[tuple[str, frozenset[str]]]) -> Iterator[tuple[str, int]]:
    function = kernel.fn
    mark = (function.__qualname__, tainted)
    if mark in seen or not tainted:
        return
    seen.add(mark)
    source, first = inspect.getsourcelines(function)
    tree = ast.parse(textwrap.dedent("".join(source)))
    file = inspect.getsourcefile(function) or ""
    names = _pointers(tree, tainted)
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        given = [*call.args, *(keyword.value for keyword in call.keywords)]
        if _name(call.func) in _LOADS and isinstance(call.func, ast.Attribute):
            if given and _mentions(call.args[0] if call.args else given[0], names):
                yield from ((file, first - 1 + line) for line in range(call.lineno, (call.end_lineno or 0) + 1))
            elif _mentions(call.func.value, names):
                yield (file, first - 1 + call.lineno)
        elif isinstance(call.func, ast.Name) and hasattr(function.__globals__.get(call.func.id), "fn"):
            helper = function.__globals__[call.func.id]
            yield from _lines(helper, _passed(helper, call, names), seen)


def _pointers(tree: ast.AST, given: frozenset[str]) -> frozenset[str]:
    """Return `given` and every name that is computed from one, until no more are found."""
    names = set(given)
    while True:
        before = len(names)
        for node in ast.walk(tree):
            if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if _mentions(node.value, frozenset(names)):
                    names |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
        if len(names) == before:
            return frozenset(names)


def _mentions(expression: ast.AST, names: frozenset[str]) -> bool:
    """Tell whether an address is made from one of `names`; what a call returns is data, unless it makes a descriptor."""
    if isinstance(expression, ast.Name):
        return expression.id in names
    if isinstance(expression, ast.Call):
        keeps = _name(expression.func) in {"make_tensor_descriptor", "cast", "to", "multiple_of", "max_contiguous"}
        if not keeps:
            return False
        inside = [expression.func, *expression.args, *(keyword.value for keyword in expression.keywords)]
        return any(_mentions(part, names) for part in inside)
    if isinstance(expression, ast.Subscript):
        return _mentions(expression.value, names)
    return any(_mentions(child, names) for child in ast.iter_child_nodes(expression))


def _passed(helper: Any, call: ast.Call, names: frozenset[str]) -> frozenset[str]:
    parameters = list(inspect.signature(helper.fn).parameters)
    given: Mapping[str, ast.expr] = {
        **dict(zip(parameters, call.args, strict=False)),
        **{keyword.arg: keyword.value for keyword in call.keywords if keyword.arg},
    }
    return frozenset(parameter for parameter, value in given.items() if _mentions(value, names))


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
