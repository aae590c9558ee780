"""The shape gate: what every source file of the project must look like, checked on its syntax tree.

`python -m tests.gates.shape` prints one line a violation and exits 1 if there is one. What ruff, mypy and import-linter
already refuse is not repeated here.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOMS: Final = ("gateway", "router", "retrieval", "models", "kernels")
PACKAGE: Final = Path("src/headrace")
ALSO_SHAPED: Final = ("tests", "benchmarks")
MAX_LINES: Final = 400
MAX_FUNCTION_LINES: Final = 60
CATCHES_EVERYTHING: Final = Path("gateway/responses.py")


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule at one place."""

    path: Path
    line: int
    rule: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}"


def source_files(root: Path) -> list[Path]:
    """Return every file of the product, relative to the root: the five rooms and what really lies in the package."""
    rooms = [path for room in ROOMS for path in (root / room).rglob("*.py")]
    links = {root / PACKAGE / room for room in ROOMS}
    own = [path for path in (root / PACKAGE).rglob("*.py") if not links & set(path.parents)]
    return sorted(path.relative_to(root) for path in rooms + own if "__pycache__" not in path.parts)


def test_file(source: Path) -> Path:
    """Return where the tests of a source file stand: the same path under tests, `src/headrace` left out."""
    inside = source.relative_to(PACKAGE) if source.is_relative_to(PACKAGE) else source
    name = inside.parent.name if inside.name == "__init__.py" else inside.stem
    return Path("tests") / inside.parent / f"test_{name.strip('_')}.py"


def needs_test(tree: ast.Module) -> bool:
    """Tell whether a module does anything: one that only documents or re-exports needs no test file of its own."""
    inert = (ast.Import, ast.ImportFrom, ast.Expr, ast.Assign, ast.AnnAssign)
    return any(not isinstance(node, inert) for node in tree.body)


def check_source(root: Path, path: Path) -> Iterator[Violation]:
    """Yield what is wrong with one file of the product."""
    tree = _parse(root, path)
    if path.name != "__init__.py" or needs_test(tree):
        wanted = test_file(path)
        if not (root / wanted).is_file():
            yield Violation(path, 1, f"no test file {wanted}")
    yield from check_shape(root, path)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            yield Violation(path, node.lineno, "assert outside tests: raise an error of contracts/errors.py")
        elif isinstance(node, ast.ExceptHandler) and _catches_everything(node) and path != CATCHES_EVERYTHING:
            yield Violation(path, node.lineno, f"catches every exception: only {CATCHES_EVERYTHING} may")
        elif isinstance(node, ast.Expr) and _is_forgotten_task(node.value):
            yield Violation(path, node.lineno, "a task nobody holds: use asyncio.TaskGroup, or keep and await it")


def check_shape(root: Path, path: Path) -> Iterator[Violation]:
    """Yield what is wrong with the size and the heading of any Python file."""
    tree = _parse(root, path)
    lines = len((root / path).read_text().splitlines())
    if lines > MAX_LINES:
        yield Violation(path, lines, f"{lines} lines, more than {MAX_LINES}: split it by idea")
    if ast.get_docstring(tree) is None and not path.name.startswith(("test_", "conftest")):
        yield Violation(path, 1, "no module docstring")
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield Violation(path, node.lineno, f"{node.name} has {length} lines, more than {MAX_FUNCTION_LINES}")


def check(root: Path) -> list[Violation]:
    """Return every violation of the tree."""
    found = [violation for path in source_files(root) for violation in check_source(root, path)]
    for folder in ALSO_SHAPED:
        for path in sorted((root / folder).rglob("*.py")):
            found += check_shape(root, path.relative_to(root))
    return found


def _parse(root: Path, path: Path) -> ast.Module:
    return ast.parse((root / path).read_text(), filename=str(path))


def _catches_everything(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {name.id for name in caught if isinstance(name, ast.Name)}
    if names == {"BaseException"}:
        return not _raises_again(handler)
    return bool(names & {"Exception", "BaseException"})


def _raises_again(handler: ast.ExceptHandler) -> bool:
    """Tell whether a handler only tidies up: its last word is a bare `raise`, so nothing is caught for good."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _is_forgotten_task(value: ast.expr) -> bool:
    if not (isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute)):
        return False
    receiver = ast.unparse(value.func.value)
    return value.func.attr in {"create_task", "ensure_future"} and (receiver == "asyncio" or "loop" in receiver)


def main() -> int:
    """Check the repository this file stands in."""
    root = Path(__file__).parents[2]
    violations = check(root)
    for violation in violations:
        sys.stdout.write(f"{violation}\n")
    sys.stdout.write(f"shape: {len(source_files(root))} source files, {len(violations)} violations\n")
    return 1 if violations else 0


if __name__ == "__main__":
    raise SystemExit(main())
