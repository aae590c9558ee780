"""Starts, watches, restarts and ends engines and workers. A spec says when one is ready; what they do is not known."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Self

from headrace.contracts.errors import EngineError, HeadraceError
from headrace.models.backends import guardian
from headrace.models.backends.leftovers import MARK_VARIABLE, NoteBook, kill_marked

State = Literal["starting", "ready", "restarting", "stopping", "stopped", "down"]
Say = Callable[[str], None]

_KILL_GRACE_S = 5.0
_TAIL_BYTES = 16384


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process to keep running.

    argv, env: the command and its whole environment. log: where its output goes (capped at max_log_bytes, one older
    file kept). ready: returns once the process serves; it gets `say` to tell what it waits for, and raises a
    HeadraceError when the process can never serve. stop_s: time between SIGTERM and SIGKILL.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    log: Path
    ready: Callable[[Say], Awaitable[None]]
    start_s: float = 600.0
    stop_s: float = 30.0
    max_log_bytes: int = 16 * 2**20


@dataclass(frozen=True, slots=True)
class RestartLimits:
    """Backoff between restarts, and how many in a row are tried before "down"; `stable_s` of service forgives them.

    most_at_start: for a process that has never served: who waits for it should soon hear why it does not come.
    """

    first_s: float = 1.0
    longest_s: float = 30.0
    most: int = 5
    most_at_start: int = 1
    stable_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Status:
    """A snapshot for /readyz and progress display. detail: what it waits for, or why it failed."""

    name: str
    state: State
    detail: str
    pid: int | None
    restarts: int
    since: float


class Supervisor:
    """Keeps processes running while its `async with` block lasts. Use from one event loop.

    run_dir: notes about running processes (see leftovers). Entering ends what an earlier, killed gateway left.
    """

    def __init__(self, run_dir: Path, *, limits: RestartLimits | None = None) -> None:
        self._notes = NoteBook(run_dir)
        self._limits = limits or RestartLimits()
        self._statuses: dict[str, Status] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Condition()
        self._stopping = asyncio.Event()
        self.ended_leftovers: Sequence[str] = ()

    async def __aenter__(self) -> Self:
        self.ended_leftovers = await asyncio.to_thread(self._notes.end_leftovers)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def start(self, spec: ProcessSpec) -> None:
        """Start keeping a process; returns at once."""
        if spec.name in self._keepers:
            raise EngineError(f"process {spec.name!r} is already supervised")
        self._set(spec.name, "starting", "its process")
        self._keepers[spec.name] = asyncio.create_task(self._keep(spec), name=f"keep-{spec.name}")

    async def stop(self) -> None:
        """Drain and end every process, side by side."""
        self._stopping.set()
        await asyncio.gather(*self._keepers.values())
        self._keepers.clear()

    def statuses(self) -> tuple[Status, ...]:
        """A snapshot of every process, in order of their start."""
        return tuple(self._statuses.values())

    def is_ready(self, name: str) -> bool:
        """True while the process serves."""
        status = self._statuses.get(name)
        return status is not None and status.state == "ready"

    async def wait_ready(self, names: Sequence[str] | None = None) -> None:
        """Return when all (named) processes are ready; EngineError as soon as one is down."""
        wanted = list(self._statuses) if names is None else list(names)
        async with self._changed:
            await self._changed.wait_for(lambda: self._settled(wanted))
        for name in wanted:
            status = self._statuses[name]
            if status.state != "ready":
                raise EngineError(f"{name} did not start: {status.detail}")

    def _settled(self, names: Sequence[str]) -> bool:
        states = [self._statuses[name].state for name in names]
        return any(s in {"down", "stopped"} for s in states) or all(s == "ready" for s in states)

    async def _keep(self, spec: ProcessSpec) -> None:
        """Keep the process running; whatever happens, nobody waits for it in vain."""
        try:
            await self._keep_running(spec)
        finally:
            if self._statuses[spec.name].state not in {"down", "stopped"}:
                self._set(spec.name, "down", "its supervision broke off")
            await self._announce()

    async def _keep_running(self, spec: ProcessSpec) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        has_served = False
        while not self._stopping.is_set():
            ready_since, reason = await self._run_once(spec)
            if self._stopping.is_set():
                break
            has_served |= ready_since is not None
            if ready_since is not None and loop.time() - ready_since >= self._limits.stable_s:
                failures = 0
            failures += 1
            if failures > (self._limits.most if has_served else self._limits.most_at_start):
                self._set(spec.name, "down", f"{reason} ({failures} times in a row; log: {spec.log.name})")
                return
            pause_s = min(self._limits.first_s * 2.0 ** (failures - 1), self._limits.longest_s)
            status = self._statuses[spec.name]
            self._set(spec.name, "restarting", f"{reason}; again in {pause_s:g} s", restarts=status.restarts + 1)
            await self._announce()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)
        self._set(spec.name, "stopped", "")

    async def _run_once(self, spec: ProcessSpec) -> tuple[float | None, str]:
        """Run the process once; return since when it was ready (if ever) and why it ended."""
        self._set(spec.name, "starting", "its process")
        mark = self._notes.new_mark()
        lifeline_read, lifeline = os.pipe()
        try:
            process = await self._launch(spec, mark, lifeline_read)
        except OSError as exc:
            os.close(lifeline)
            return None, f"could not start: {exc.strerror}"
        finally:
            os.close(lifeline_read)
        self._notes.write(spec.name, mark, process.pid)
        self._set(spec.name, "starting", "its process", pid=process.pid)
        try:
            return await self._watch(spec, process)
        finally:
            await self._end(spec, process, mark)
            os.close(lifeline)
            self._notes.remove(mark)

    async def _launch(self, spec: ProcessSpec, mark: str, lifeline: int) -> asyncio.subprocess.Process:
        spec.log.parent.mkdir(parents=True, exist_ok=True)
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            str(guardian.__file__),
            *(str(lifeline), str(spec.stop_s), str(spec.log), str(spec.max_log_bytes), "--", *spec.argv),
            env={**spec.env, MARK_VARIABLE: mark},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            pass_fds=(lifeline,),
            start_new_session=True,
        )

    async def _watch(self, spec: ProcessSpec, process: asyncio.subprocess.Process) -> tuple[float | None, str]:
        """Wait until the process ends, cannot become ready, or must stop."""
        ended = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        readying = asyncio.create_task(self._become_ready(spec))
        tasks = {ended, stopping, readying}
        ready_since: float | None = None
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if readying.done() and not ended.done() and not stopping.done():
                if failure := readying.result():
                    return None, failure
                ready_since = asyncio.get_running_loop().time()
                self._set(spec.name, "ready", "", pid=process.pid)
                await self._announce()
                await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return ready_since, self._last_words(spec, process) if ended.done() else "stopped"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _become_ready(self, spec: ProcessSpec) -> str:
        """Return "" once the process serves, else why it cannot."""
        try:
            async with asyncio.timeout(spec.start_s):
                await spec.ready(lambda detail: self._set(spec.name, "starting", detail))
        except TimeoutError:
            return f"not ready in {spec.start_s:g} s, waiting for {self._statuses[spec.name].detail}"
        except HeadraceError as exc:
            return exc.message
        return ""

    async def _end(self, spec: ProcessSpec, process: asyncio.subprocess.Process, mark: str) -> None:
        """Let the guardian drain and end its group; make sure of it."""
        if process.returncode is None:
            self._set(spec.name, "stopping", "running answers")
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), spec.stop_s + _KILL_GRACE_S)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        await asyncio.to_thread(kill_marked, mark)

    def _last_words(self, spec: ProcessSpec, process: asyncio.subprocess.Process) -> str:
        return f"ended with status {process.returncode}: {last_words(spec.log)}"

    def _set(
        self, name: str, state: State, detail: str, *, pid: int | None = None, restarts: int | None = None
    ) -> None:
        now = asyncio.get_running_loop().time()
        old = self._statuses.get(name, Status(name, state, detail, None, 0, now))
        self._statuses[name] = replace(
            old,
            state=state,
            detail=detail,
            pid=pid if pid is not None or state not in {"starting", "stopping"} else old.pid,
            restarts=old.restarts if restarts is None else restarts,
            since=old.since if old.state == state else now,
        )

    async def _announce(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def last_words(log: Path) -> str:
    """Return the line of a log that most likely says why its process ended: the last error, else the last line."""
    try:
        with log.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - _TAIL_BYTES, 0))
            lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    except OSError:
        return "it left no log"
    errors = [line for line in lines if "Error" in line or "error:" in line]
    return (errors or lines or ["it said nothing"])[-1][-300:]
