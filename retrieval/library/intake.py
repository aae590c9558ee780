"""Background ingest: takes what waits in the catalogue, a few files at a time, and shows each once its index has it.

The catalogue is the queue; here is only what is under way. What a stopped process leaves is begun anew by the next.
"""

import asyncio
import logging
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec

from headrace.contracts.errors import (
    BackendError,
    EngineError,
    HeadraceError,
    InvalidRequest,
    Overloaded,
    PayloadTooLarge,
)
from headrace.contracts.retrieval import Document
from headrace.retrieval.library.indexes import OpenIndexes
from headrace.retrieval.library.keeper import Keeper
from headrace.retrieval.library.library import Library
from headrace.retrieval.library.records import LastError, Work

SWEEP_EVERY_S: Final = 60.0
RETRY_S: Final = 5.0
LOOK_AHEAD: Final = 64
_log: Final = logging.getLogger(__name__)
_UNSUPPORTED: Final = "unsupported_file"


class Prepared(msgspec.Struct, frozen=True):
    """A file ready for an index: vectors[i] belongs to document.chunks[i]."""

    document: Document
    vectors: Sequence[bytes]

    @property
    def bytes(self) -> int:
        """What its text and vectors take."""
        return len(self.document.text.encode()) + sum(map(len, self.vectors))


class Preparer(Protocol):
    """Converts, cuts and embeds one file at a time."""

    async def prepare(self, work: Work, path: Path) -> Prepared:
        """Return the file ready for an index; InvalidRequest where it cannot be read."""
        ...

    async def close(self) -> None:
        """End what runs and give everything back."""
        ...


class Intake:
    """The worker. For one event loop: `start`, `wake` whenever the catalogue has changed, `stop`.

    preparers: as many files are under way at once. report: told the outcome of each: "completed", "dropped", or the
    code of its error. unfinished: how many files wait or are under way, as of the last look.
    """

    def __init__(
        self,
        library: Library,
        indexes: OpenIndexes,
        keeper: Keeper,
        preparers: Sequence[Preparer],
        report: Callable[[str], None],
    ) -> None:
        self._library = library
        self._indexes = indexes
        self._keeper = keeper
        self._preparers = preparers
        self._free = list(preparers)
        self._report = report
        self._ahead: deque[Work] = deque()
        self._running: dict[asyncio.Task[bool], tuple[Work, Preparer]] = {}
        self._commits: set[asyncio.Task[bool]] = set()
        self._wanted = asyncio.Event()
        self.unfinished = 0
        self._loops: list[asyncio.Task[None]] = []

    @property
    def running(self) -> int:
        """How many files are under way."""
        return len(self._running)

    def start(self) -> None:
        """Begin: first what an earlier process left, then whatever comes."""
        self._loops = [asyncio.get_running_loop().create_task(loop()) for loop in (self._schedule, self._sweep)]

    def wake(self) -> None:
        """Look into the catalogue again: something was put in, cancelled or taken out."""
        self._wanted.set()

    async def stop(self) -> None:
        """Give up what runs, but let no change of an index be cut in half."""
        for task in (*self._loops, *self._running):
            task.cancel()
        await asyncio.gather(*(preparer.close() for preparer in self._preparers))
        await asyncio.gather(*self._loops, *self._running, return_exceptions=True)
        await asyncio.gather(*self._commits, return_exceptions=True)

    async def _sweep(self) -> None:
        """Remove what has expired, now and then; what fails now is tried again the next time."""
        while True:
            if self._library.exists:
                try:
                    is_clean = await self._keeper.sweep()
                except (HeadraceError, OSError):
                    is_clean = False
                if not is_clean:
                    self._report("sweep_failed")
            await asyncio.sleep(SWEEP_EVERY_S)

    async def _schedule(self) -> None:
        """Keep as many under way as there are preparers; a catalogue that fails is asked again after a while."""
        is_swept = False
        self.wake()
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            if not self._library.exists:
                continue
            try:
                if not is_swept:
                    await asyncio.to_thread(self._library.files.sweep)
                    is_swept = True
                await self._turn()
            except (HeadraceError, OSError):
                self._report("stalled")
                asyncio.get_running_loop().call_later(RETRY_S, self.wake)

    async def _turn(self) -> None:
        await self._collect()
        await self._drop_unwanted()
        while self._free and (work := await self._next()) is not None:
            self._begin(work)
        self.unfinished = await asyncio.to_thread(self._library.backlog.length)

    def _begin(self, work: Work) -> None:
        preparer = self._free.pop()
        task = asyncio.get_running_loop().create_task(self._ingest(work, preparer))
        self._running[task] = (work, preparer)
        task.add_done_callback(lambda _: self.wake())

    async def _next(self) -> Work | None:
        if not self._ahead:
            begun = [work.turn for work, _ in self._running.values()]
            self._ahead.extend(await asyncio.to_thread(self._library.backlog.waiting, LOOK_AHEAD, begun))
        while self._ahead:
            work = self._ahead.popleft()
            if await asyncio.to_thread(self._library.backlog.wanted, work) is not None:
                return work
        return None

    async def _ingest(self, work: Work, preparer: Preparer) -> bool:
        prepared = await preparer.prepare(work, self._library.files.path(work.file))
        commit = asyncio.get_running_loop().create_task(self._commit(work, prepared))
        self._commits.add(commit)
        commit.add_done_callback(self._commits.discard)
        return await asyncio.shield(commit)

    async def _commit(self, work: Work, prepared: Prepared) -> bool:
        """Put it into the index and then show it, unless nobody wants it any more."""
        wanted = self._library.backlog.wanted

        async def is_wanted() -> bool:
            return await asyncio.to_thread(wanted, work) is not None

        async with self._indexes.putting(work.store, is_wanted) as index:
            current = await asyncio.to_thread(wanted, work)
            if index is None or current is None:
                return False
            document = msgspec.structs.replace(prepared.document, attributes=current)
            await asyncio.to_thread(index.put, document, prepared.vectors)
            return await asyncio.to_thread(self._library.backlog.finish, work, prepared.bytes)

    async def _collect(self) -> None:
        """Take note of how those that have ended went."""
        for task in [task for task in self._running if task.done()]:
            work, preparer = self._running.pop(task)
            self._free.append(preparer)
            error = None if task.cancelled() else task.exception()
            if error is not None:
                last = why(error)
                if last.code == "server_error":
                    _log_place(work, error)
                await asyncio.to_thread(self._library.backlog.fail, work, last)
                self._report(last.code)
            else:
                self._report("completed" if not task.cancelled() and task.result() else "dropped")

    async def _drop_unwanted(self) -> None:
        for task, (work, _) in self._running.items():
            if await asyncio.to_thread(self._library.backlog.wanted, work) is None:
                task.cancel()


def _log_place(work: Work, error: BaseException) -> None:
    """Log kind, place and our own words; the text of a foreign error may quote a document."""
    frames = reversed(traceback.extract_tb(error.__traceback__)[-6:])
    places = " < ".join(f"{frame.name}:{frame.lineno}" for frame in frames)
    what = f"{type(error).__name__} {error.message if isinstance(error, HeadraceError) else ''}".rstrip()
    _log.error("file %s of %s was not ingested: %s at %s", work.file.id, work.store, what, places)


def why(error: BaseException) -> LastError:
    """Return what the owner of a file is told of an error; nothing of this machine is in it."""
    if isinstance(error, InvalidRequest | PayloadTooLarge):
        return LastError(
            "unsupported_file" if error.code == _UNSUPPORTED else "invalid_file", f"the file {error.message}"
        )
    if isinstance(error, Overloaded | EngineError | BackendError):
        return LastError("server_error", "the embedding model or the disk was not available; put the file in again")
    return LastError("server_error", "something went wrong here; put the file into the vector store again")
