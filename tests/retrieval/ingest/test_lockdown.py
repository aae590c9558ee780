import resource
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.retrieval.ingest import lockdown
from headrace.retrieval.ingest.lockdown import _refuse

PROGRAM = """
import os, socket, sys
from headrace.retrieval.ingest.lockdown import leave_network, lock
is_alone = leave_network()
if "--no-hook" in sys.argv:
    sys.addaudithook = lambda hook: None
grant = lock(512 << 20)
grant(30)
def tried(action):
    try:
        action()
    except (OSError, MemoryError) as exc:
        return type(exc).__name__
    return "done"
print(tried(lambda: open("/etc/hostname")))
print(tried(lambda: os.open("/etc/hostname", os.O_RDONLY)))
print(tried(lambda: socket.socket()))
print(tried(lambda: os.pipe()))
print(tried(lambda: bytearray(1 << 30)))
print(tried(lambda: os.fork() or os._exit(0)) if "--no-hook" not in sys.argv else "-")
"""


class Libc:
    """A kernel that forbids namespaces."""

    def unshare(self, _: int) -> int:
        return -1

    def prctl(self, *_: int) -> int:
        return 0


def run(folder: Path, *args: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM, *args], cwd=folder, capture_output=True, text=True, check=True, env={}
    )
    return done.stdout.split()


def test_a_locked_process_opens_nothing_and_starts_nothing(tmp_path: Path) -> None:
    assert run(tmp_path) == ["PermissionError"] * 3 + ["OSError", "MemoryError", "PermissionError"]


def test_without_the_hook_the_kernel_still_refuses_every_descriptor(tmp_path: Path) -> None:
    found = run(tmp_path, "--no-hook")
    assert found[:4].count("done") == 0
    assert found[4] == "MemoryError"


def test_a_spinning_process_is_ended_by_the_kernel(tmp_path: Path) -> None:
    program = (
        "from headrace.retrieval.ingest.lockdown import lock\nlock(512 << 20)(0.1)\nx = 0\nwhile x < 10**9: x += 1\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], cwd=tmp_path, check=False, env={}, timeout=30)
    assert done.returncode < 0


def test_every_limit_is_set_also_where_the_root_cannot_be_left(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: dict[int, tuple[int, int]] = {}
    hooks: list[object] = []

    def deny(_: str) -> None:
        raise PermissionError

    monkeypatch.setattr(lockdown.ctypes, "CDLL", lambda *_, **__: Libc())
    monkeypatch.setattr(lockdown.os, "chroot", deny)
    monkeypatch.setattr(lockdown.resource, "setrlimit", limits.__setitem__)
    monkeypatch.setattr(lockdown.sys, "addaudithook", hooks.append)
    lockdown.lock(1 << 30)(5.0)
    assert lockdown.leave_network() is False
    assert hooks == [_refuse]
    assert limits[resource.RLIMIT_NOFILE] == (3, 3)
    assert limits[resource.RLIMIT_AS] == (1 << 30, 1 << 30)
    assert limits[resource.RLIMIT_FSIZE] == (0, 0)
    assert limits[resource.RLIMIT_CPU][0] >= 5


def test_the_hook_lets_through_what_it_does_not_know() -> None:
    _refuse("import", ())
    with pytest.raises(PermissionError, match=r"socket\.connect"):
        _refuse("socket.connect", ())
