"""Everything that must be there before engines start, made side by side: environment, fetched parts, served forms.

Threads, because each job waits for processes and sockets. A job that is done is kept: what is left is asked of the disk
each time, so that running again after any end goes on where it stopped.
"""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Final

import psutil

IMPORTS_AT_ONCE: Final = 2
GRACE_S: Final = 5.0
POLL_S: Final = 0.05

Job = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Model:
    """One model to make ready: `fetch` needs the network only, `build` the engine environment and what was fetched."""

    id: str
    fetch: Job
    build: Job


def prepare(*, environment: Job | None, models: Sequence[Model]) -> None:
    """Do all jobs, each as soon as what it needs is there.

    Models are fetched in the given order, each with the whole line, so that the first can be built first. The first
    error stops the others and is raised; so does the end of the caller (KeyboardInterrupt, SystemExit).
    """
    pool = ThreadPoolExecutor(max_workers=2 + IMPORTS_AT_ONCE, thread_name_prefix="setup")
    fetched = {model.id: Future[None]() for model in models}
    jobs: list[Future[None]] = []
    try:
        ready = pool.submit(environment or _nothing)
        jobs += [ready, pool.submit(_fetch_all, models, fetched)]
        jobs += [pool.submit(_build, model, ready, fetched[model.id]) for model in models]
        finished, _ = wait(jobs, return_when=FIRST_EXCEPTION)
        for job in finished:
            job.result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for future in fetched.values():
            future.cancel()
        _drain(jobs)
        raise
    finally:
        pool.shutdown()


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, with KeyboardInterrupt. Only in the main thread."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def stop_children() -> None:
    """End every process this one started, those of its threads included, so that the threads come to their end."""
    children = psutil.Process().children(recursive=True)
    for child in children:
        _quietly(child.terminate)
    give_up = time.monotonic() + GRACE_S
    while any(map(_is_alive, children)) and time.monotonic() < give_up:
        time.sleep(POLL_S)
    for child in filter(_is_alive, children):
        _quietly(child.kill)


def _fetch_all(models: Sequence[Model], fetched: dict[str, Future[None]]) -> None:
    for model in models:
        if fetched[model.id].cancelled():
            return
        model.fetch()
        fetched[model.id].set_result(None)


def _build(model: Model, environment: Future[None], fetched: Future[None]) -> None:
    fetched.result()
    environment.result()
    model.build()


def _drain(jobs: Sequence[Future[None]]) -> None:
    give_up = time.monotonic() + 4 * GRACE_S
    stop_children()
    while time.monotonic() < give_up and not all(job.done() for job in jobs):
        time.sleep(POLL_S)
        stop_children()  # a job may have been between two processes


def _nothing() -> None:
    return


def _is_alive(process: psutil.Process) -> bool:
    """Ask without waiting for it: whoever started it must still learn its exit status, which can be taken only once."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _quietly(act: Callable[[], object]) -> None:
    try:
        act()
    except psutil.NoSuchProcess:
        return


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
