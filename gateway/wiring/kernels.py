"""What the operator sees of the kernels in engines that headrace starts: counts, failed hooks, a line at the start.

Read from the files that the plug-ins write, whenever somebody looks; an engine that was asked for nothing has none.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from headrace.gateway.telemetry.logging import Log
from headrace.gateway.wiring.processes import Processes
from headrace.models.backends.kernels import KernelReport, read_report

SILENT: Final = "the plug-in of its engine said nothing; run make setup, which installs it"


class KernelWatch:
    """The kernels of every engine that was asked to use them. Safe to share between tasks."""

    def __init__(self, processes: Processes) -> None:
        self._folders: Mapping[str, Path] = {
            name: engine.kernel_state for name, engine in processes.engines.items() if engine.kernel_state is not None
        }
        self._is_up: Mapping[str, Callable[[], bool]] = {
            name: engine.is_up for name, engine in processes.engines.items()
        }

    @property
    def is_needed(self) -> bool:
        """True where any engine was asked to use kernels."""
        return bool(self._folders)

    def refusals(self) -> dict[tuple[str, str, str], int]:
        """Return how often each (backend, op, reason) was refused."""
        return {
            (backend, op, reason): count
            for backend, report in self._reports().items()
            for (op, reason), count in report.refusals.items()
        }

    def served(self) -> dict[tuple[str, str], int]:
        """Return how many calls each (backend, hook) served."""
        return {
            (backend, hook): count
            for backend, report in self._reports().items()
            for hook, count in report.served.items()
        }

    def degraded(self) -> list[str]:
        """Return one line for each hook that could not be put in: its engine serves, without our kernels."""
        reports = self._reports()
        lines = [
            f"backend {backend}: the {hook} hook of its kernels failed: {error}"
            for backend, report in reports.items()
            for hook, error in report.failed.items()
        ]
        return lines + [f"backend {backend}: {SILENT}" for backend in self._silent(reports)]

    def tell(self, log: Log) -> None:
        """Write one event for each engine: the hooks that are in and those that failed."""
        for backend, report in self._reports().items():
            log.event("kernels", backend=backend, installed=dict(report.installed), failed=dict(report.failed))

    def _silent(self, reports: Mapping[str, KernelReport]) -> list[str]:
        """Return the engines that serve and whose plug-in never said a word."""
        spoke = {backend for backend, report in reports.items() if report.installed or report.failed}
        return [backend for backend in reports if backend not in spoke and self._is_up[backend]()]

    def _reports(self) -> dict[str, KernelReport]:
        return {backend: read_report(folder) for backend, folder in self._folders.items()}
