"""Which source lines of a kernel load weights or KV, so that its machine code can be told apart by line.

Reads the kernel's syntax tree: what is computed from a named pointer is a pointer into the same memory, what is loaded
through it is data. Helpers that the kernel calls are followed with the arguments they were given.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

Jit: TypeAlias = Any  # a `triton.jit` function, which has no types
Place = tuple[str, int]
_LOADS: Final = ("load", "make_tensor_descriptor")


@dataclass(frozen=True, slots=True)
class Loads:
    """Where a kernel loads: (file, line) of weights or KV, and of everything else."""

    weights: frozenset[Place]
    others: frozenset[Place]

    def is_weight(self, place: Place) -> bool:
        """Tell whether a load that stands at `place` is one of weights.

        The compiler may give a load the line after its own: then the nearest load before it counts.
        """
        if place in self.weights or place in self.others:
            return place in self.weights
        file, line = place
        before = [(at, (file, at) in self.weights) for of, at in self.weights | self.others if of == file and at < line]
        return max(before)[1] if before else False


def loads(kernel: Jit, arguments: frozenset[str]) -> Loads:
    """Return the loads of a `triton.jit` function; weights are those whose address comes from one of `arguments`."""
    found = set(_lines(kernel, arguments, set()))
    weights = frozenset(place for place, is_weight in found if is_weight)
    return Loads(weights, frozenset(place for place, _ in found) - weights)


def _lines(kernel: Jit, tainted: frozenset[str], seen: set[tuple[str, frozenset[str]]]) -> Iterator[tuple[Place, bool]]:
    function = kernel.fn
    mark = (f"{function.__module__}.{function.__qualname__}", tainted)
    if mark in seen or function.__module__.startswith("triton."):
        return
    seen.add(mark)
    source, first = _source(kernel)
    tree = ast.parse(textwrap.dedent(source))
    file = inspect.getsourcefile(function) or ""
    names = _pointers(tree, tainted)
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if _name(call.func) in _LOADS and isinstance(call.func, ast.Attribute):
            given = [*call.args, *(keyword.value for keyword in call.keywords)][:1]
            is_weight = any(_mentions(part, names) for part in [*given, call.func.value])
            for line in range(call.lineno, (call.end_lineno or call.lineno) + 1):
                yield (file, first - 1 + line), is_weight
        elif isinstance(call.func, ast.Name) and hasattr(function.__globals__.get(call.func.id), "fn"):
            helper = function.__globals__[call.func.id]
            yield from _lines(helper, _passed(helper, call, names), seen)


def _source(kernel: Jit) -> tuple[str, int]:
    """Return the text that is compiled and its first line: the file may have changed since it was imported."""
    if hasattr(kernel, "raw_src"):
        return "".join(kernel.raw_src), kernel.starting_line_number
    lines, first = inspect.getsourcelines(kernel.fn)
    return "".join(lines), first


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
    """Tell whether an address is made from one of `names`; what a call returns is data, unless it only recasts."""
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


def _passed(helper: Jit, call: ast.Call, names: frozenset[str]) -> frozenset[str]:
    parameters = list(inspect.signature(helper.fn).parameters)
    given: Mapping[str, ast.expr] = {
        **dict(zip(parameters, call.args, strict=False)),
        **{keyword.arg: keyword.value for keyword in call.keywords if keyword.arg},
    }
    return frozenset(parameter for parameter, value in given.items() if _mentions(value, names))


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
