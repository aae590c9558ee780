"""The coverage gate: a floor for every file of the product, not one average that hides the untested ones.

`python -m tests.gates.coverage_floor REPORT.json ...` reads what `coverage json` wrote in each environment; it
exits 1 if a file is below its floor in all of them. What runs mostly in other processes has its own floor and a reason.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from tests.gates.shape import source_files

FLOOR: Final = 80.0
LOWER: Final[Mapping[str, tuple[float, str]]] = {
    "gateway/wiring/processes.py": (60.0, "starts real engines: tests/e2e runs it in the gateway's own process"),
    "models/backends/guardian.py": (30.0, "is a process of its own: the supervisor's tests watch it from outside"),
    "models/build/__main__.py": (0.0, "the engine environment's command: imports and their tests run it as one"),
    "src/headrace/cli/serve.py": (35.0, "runs until it is stopped: tests/e2e runs it as a command"),
    "src/headrace/cli/up.py": (35.0, "runs until it is stopped: `make test` itself begins with its first half"),
    "src/headrace/setup/readying.py": (70.0, "prepares environment and models: `make test` itself begins with it"),
}


def shortfalls(measured: Mapping[str, float], sources: list[str]) -> list[str]:
    """Return a line for every source file below its floor; a file nothing imported counts as 0."""
    lines = []
    for path in sources:
        floor = LOWER.get(path, (FLOOR, ""))[0]
        percent = measured.get(path, 0.0)
        if percent < floor:
            lines.append(f"{path}: {percent:.0f}% of its lines run in tests, the floor is {floor:.0f}%")
    return lines


def stale(sources: list[str]) -> list[str]:
    """Return a line for every exception that names no file any more."""
    return [f"coverage_floor.py: no file {path}" for path in LOWER if path not in sources]


def measured_percent(reports: Iterable[Path], root: Path) -> dict[str, float]:
    """Read coverage reports: path relative to the root -> percent of its lines that ran where it ran best."""
    best: dict[str, float] = {}
    for report in reports:
        for name, entry in json.loads(report.read_text())["files"].items():
            path = _relative(name, root)
            best[path] = max(best.get(path, 0.0), float(entry["summary"]["percent_covered"]))
    return best


def _relative(name: str, root: Path) -> str:
    return str((root / name).resolve().relative_to(root.resolve()))


def main(arguments: list[str]) -> int:
    """Compare the reports with the floors."""
    root = Path(__file__).parents[2]
    sources = [str(path) for path in source_files(root) if path.name != "__init__.py"]
    lines = shortfalls(measured_percent(map(Path, arguments), root), sources) + stale(sources)
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"coverage: {len(sources)} files, {len(lines)} below their floor of {FLOOR:.0f}%\n")
    return 1 if lines else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
