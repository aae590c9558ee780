"""Change the config while requests run: load, probe, swap one immutable object; a bad file keeps the last good one.

A request that has begun stays with the settings it was given. The keys file is watched and is part of the revision.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Literal

import watchfiles

from headrace.contracts.errors import ConfigError, HeadraceError
from headrace.gateway.settings.tree import Settings

Outcome = Literal["ok", "failed", "unchanged"]


class Reloader:
    """Keeps the settings in force. For one event loop; reloads run one after the other.

    load: reads and validates the file (runs on a thread; ConfigError). probe: tries what the new settings name
    (HeadraceError refuses them). swap: puts them in force in one step (HeadraceError: nothing was changed).
    report: told every outcome and why.
    """

    def __init__(
        self,
        current: Settings,
        *,
        load: Callable[[Path], Settings],
        probe: Callable[[Settings], Awaitable[None]],
        swap: Callable[[Settings], None],
        report: Callable[[Outcome, str], None],
    ) -> None:
        self.current = current
        self._load = load
        self._probe = probe
        self._swap = swap
        self._report = report
        self._turn = asyncio.Lock()
        self._moved = asyncio.Event()

    async def reload(self) -> Outcome:
        """Read the file again and put it in force if it is good; tells the outcome, never raises for a bad file."""
        async with self._turn:
            try:
                fresh = await asyncio.to_thread(self._load, self.current.source)
                if fresh.revision == self.current.revision:
                    return self._tell("unchanged", fresh.revision)
                refuse_restart_only(self.current, fresh)
                await self._probe(fresh)
                self._swap(fresh)
            except HeadraceError as exc:
                return self._tell("failed", exc.message)
            if fresh.watched != self.current.watched:
                self._moved.set()
            self.current = fresh
            return self._tell("ok", fresh.revision)

    async def watch(self, stop: asyncio.Event) -> None:
        """Reload on SIGHUP and whenever a watched file changes, until `stop` is set."""
        loop = asyncio.get_running_loop()
        asked = asyncio.Event()
        loop.add_signal_handler(signal.SIGHUP, asked.set)
        try:
            async with asyncio.TaskGroup() as tasks:
                working = (tasks.create_task(self._watch_files(asked)), tasks.create_task(self._answer(asked)))
                await stop.wait()
                for task in working:
                    task.cancel()
        finally:
            loop.remove_signal_handler(signal.SIGHUP)

    async def _answer(self, asked: asyncio.Event) -> None:
        while True:
            await asked.wait()
            asked.clear()
            await self.reload()

    async def _watch_files(self, asked: asyncio.Event) -> None:
        """Watch the folders, since editors and mounted volumes replace files; another keys file is followed."""
        while True:
            self._moved.clear()
            watched = self.current.watched
            folders = await asyncio.to_thread(_folders, watched)
            stamps = await asyncio.to_thread(_stamps, watched)
            if not folders:
                await self._moved.wait()
                continue
            async for _ in watchfiles.awatch(*folders, stop_event=self._moved, recursive=False, debounce=200):
                before, stamps = stamps, await asyncio.to_thread(_stamps, watched)
                if stamps != before:
                    asked.set()

    def _tell(self, outcome: Outcome, why: str) -> Outcome:
        self._report(outcome, why)
        return outcome


def refuse_restart_only(current: Settings, fresh: Settings) -> None:
    """Raise ConfigError for a change that only a restart can bring about, naming the section."""
    pairs = {
        "server": (current.server, fresh.server),
        "ledger": (current.ledger, fresh.ledger),
        "telemetry": (current.telemetry, fresh.telemetry),
        "embeddings": (current.embeddings, fresh.embeddings),
        "retrieval": (current.retrieval, fresh.retrieval),
        "backends (engines)": (_processes(current), _processes(fresh)),
    }
    changed = [name for name, (old, new) in pairs.items() if old != new]
    if changed:
        raise ConfigError(f"{fresh.source}: {', '.join(changed)} changed; restart the gateway to change it")


def _processes(settings: Settings) -> list[tuple[object, ...]]:
    """What the engine processes were started with; prices and capabilities may change while they run."""
    return [
        (
            *(engine.id, engine.model, engine.threads, engine.kv_cache_bytes, engine.eager),
            *(engine.card.context_tokens, engine.kernels),
        )
        for engine in settings.engines
    ]


def _folders(paths: Iterable[Path]) -> set[Path]:
    """Where the files stand, by name and behind links."""
    both = {folder for path in paths for folder in (path.absolute().parent, path.resolve().parent)}
    return {folder for folder in both if folder.is_dir()}


def _stamps(paths: Iterable[Path]) -> list[tuple[int, int, int] | None]:
    """What tells one version of a file from the next without reading it; None while it is not there."""
    return [_stamp(path) for path in paths]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
