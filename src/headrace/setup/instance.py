"""One running instance a home: who holds the lock file serves, and the file says where."""

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from headrace.contracts.errors import SetupError


class Instance:
    """A lock on `$HEADRACE_HOME/run/instance.json`, held for the life of the process; the kernel frees it at any end.

    Entering raises SetupError, with pid and port, while another process holds it.
    """

    def __init__(self, home: Path, *, port: int) -> None:
        self._path = home / "run" / "instance.json"
        self._port = port
        self._fd: int | None = None

    def __enter__(self) -> Self:
        """Take the lock and write pid and port into it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            holder = _read(fd)
            os.close(fd)
            raise SetupError(
                f"headrace already runs here: {holder}; stop it with Ctrl-C or kill, or set HEADRACE_HOME"
            ) from exc
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps({"pid": os.getpid(), "port": self._port}).encode(), 0)
        self._fd = fd
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free the lock."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None


def _read(fd: int) -> str:
    try:
        said = json.loads(os.pread(fd, 4096, 0))
        return f"pid {int(said['pid'])}, port {int(said['port'])}"
    except (ValueError, KeyError, TypeError):
        return "it is just starting"
