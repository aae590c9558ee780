"""Takes away from this process what converting a file does not need. Called once, after everything is imported.

What holds at the kernel: no new file descriptor of any kind (so no file, no socket, no pipe), no bytes to files, no
core dump, bounded memory; an empty root folder and an own network where the kernel lets an ordinary process have them.
The audit hook adds words to what fails: it is a second fence, not the first.
"""

import contextlib
import ctypes
import os
import resource
import sys
from collections.abc import Callable
from typing import Final

_NEW_USERS: Final = 0x10000000
_NEW_NETWORK: Final = 0x40000000
_NEW_IPC: Final = 0x08000000
_NO_NEW_PRIVILEGES: Final = 38
_NOT_DUMPABLE: Final = 4
_STANDARD_STREAMS: Final = 3
_REFUSED: Final = (
    "socket.",
    "subprocess.",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "os.kill",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.mkdir",
    "os.chmod",
    "os.chown",
    "os.link",
    "os.symlink",
    "os.truncate",
    "shutil.",
    "open",
)


def leave_network() -> bool:
    """Move into an own user, network and IPC namespace; False where the kernel forbids it. Before any thread starts."""
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.unshare(_NEW_USERS | _NEW_NETWORK | _NEW_IPC) == 0)


def lock(memory_bytes: int) -> Callable[[float], None]:
    """Lock the process for good; returns what gives it so many more seconds of processor time."""
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((_NO_NEW_PRIVILEGES, 1), (_NOT_DUMPABLE, 0)):
        libc.prctl(option, value, 0, 0, 0)
    with contextlib.suppress(OSError):
        os.chroot(".")
    for limit, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, _STANDARD_STREAMS),
    ):
        resource.setrlimit(limit, (value, value))
    sys.addaudithook(_refuse)
    return _grant


def _grant(seconds: float) -> None:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(usage.ru_utime + usage.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def _refuse(event: str, _: tuple[object, ...]) -> None:
    if event.startswith(_REFUSED):
        raise PermissionError(event)
