"""Runs a gateway on a socket: binds, serves, reloads on SIGHUP and on change, drains on SIGTERM and Ctrl-C."""

import asyncio
import errno
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvicorn

from headrace.contracts.errors import ConfigError
from headrace.gateway.protocol import BoundedProtocol
from headrace.gateway.reload import Reloader
from headrace.gateway.settings.tree import Server as Bind
from headrace.gateway.settings.tree import Settings
from headrace.gateway.wiring.system import System

KEEP_ALIVE_S: Final = 75
BACKLOG: Final = 2_048
LAST_WORDS_S: Final = 1

Load = Callable[[Path], Settings]


def bind(where: Bind) -> socket.socket:
    """Return the bound socket; ConfigError with the cure when the port is taken or not ours to take."""
    listener: socket.socket | None = None
    try:
        family = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((where.host, where.port))
    except OSError as exc:
        if listener is not None:
            listener.close()
        raise ConfigError(_why_not_bound(where, exc)) from exc
    listener.setblocking(False)  # noqa: FBT003  (the socket's own signature)
    return listener


class GatewayServer:
    """A system behind a bound socket. `run` serves until told to stop, then drains.

    load: reads the config again. on_ready: told once, when every backend has answered.
    """

    def __init__(
        self, system: System, listener: socket.socket, settings: Settings, *, load: Load, on_ready: Callable[[], None]
    ) -> None:
        self._system = system
        self._listener = listener
        self._settings = settings
        self._load = load
        self._on_ready = on_ready
        self._stop = asyncio.Event()
        self._server = _Quiet(
            uvicorn.Config(
                system.gateway,
                http=BoundedProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=LAST_WORDS_S,
                backlog=BACKLOG,
            )
        )

    def stop(self) -> None:
        """Begin to drain; a second call ends at once."""
        if self._stop.is_set():
            self._server.force_exit = self._server.should_exit = True
        self._stop.set()

    async def run(self) -> None:
        """Serve until `stop`, finish what runs within the drain bound, and return."""
        reloader = Reloader(
            self._settings, load=self._load, probe=self._system.probe, swap=self._system.swap, report=self._report
        )
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._await_backends())
            tasks.create_task(reloader.watch(self._stop))
            tasks.create_task(self._drain())
            await self._server.serve(sockets=[self._listener])
            self._stop.set()
            watching.cancel()

    async def _await_backends(self) -> None:
        await self._system.await_backends()
        self._on_ready()

    async def _drain(self) -> None:
        """Once told to stop: /readyz turns 503, new work is refused, running answers get the drain bound."""
        await self._stop.wait()
        self._system.readiness.draining = True
        try:
            async with asyncio.timeout(self._settings.server.drain_s):
                await self._system.gateway.idle.wait()
        except TimeoutError:
            self._system.log.event("drain", outcome="cut", running=self._system.gateway.running)
        self._server.should_exit = True

    def _report(self, outcome: str, why: str) -> None:
        self._system.metrics.reloaded(outcome)
        self._system.log.event("reload", outcome=outcome, detail=why)


@contextmanager
def stops_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on SIGTERM and SIGINT while the context is open. Needs the main thread's running loop."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


class _Quiet(uvicorn.Server):
    """A uvicorn server that leaves signals to us."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take none."""
        yield


def _why_not_bound(where: Bind, exc: OSError) -> str:
    place = f"{where.host}:{where.port}"
    if exc.errno == errno.EADDRINUSE:
        return f"{place} is in use by another process; stop it, or choose a port with --port or HEADRACE_PORT"
    if exc.errno == errno.EACCES:
        return f"{place} needs rights this user lacks; choose a port over 1023 with --port or HEADRACE_PORT"
    return f"{place} cannot be bound ({exc.strerror}); set server.host to an address of this machine"
