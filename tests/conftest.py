"""What every test run shares: which tests belong to which environment, and a count of what was skipped and why."""

import importlib.util
from collections import Counter
from pathlib import Path

import pytest

# These rooms import torch, which the gateway environment does not have; `make test` runs them in .venv-engine.
ENGINE_ENVIRONMENT = ("models/build", "kernels", "benchmarks/sparse")

HAS_TORCH = importlib.util.find_spec("torch") is not None
collect_ignore = [] if HAS_TORCH else [str(Path(__file__).parent / room) for room in ENGINE_ENVIRONMENT]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        where = report.longrepr
        reasons[where[2].removeprefix("Skipped: ") if isinstance(where, tuple) else str(where)] += 1
    terminalreporter.write_line(f"skipped tests: {reasons.total()}")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"  {count:>4}  {reason}")
