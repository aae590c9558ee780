"""Runs a model's Python against checks in a process that has no network, little time and little memory.

The child leaves for its own user and network namespace where the kernel allows it, caps CPU, memory, files and
processes, and refuses sockets, child processes and writes by an audit hook. It is meant for small language models'
honest mistakes, not for an attacker.
"""

import json
import subprocess
import sys
import tempfile
from typing import Final

WALL_S: Final = 10.0
_CPU_S: Final = 6
_MEMORY_BYTES: Final = 1 << 30

_CHILD: Final = f"""
import ctypes, json, resource, sys
job = json.loads(sys.stdin.read())
ctypes.CDLL(None).unshare(0x10000000 | 0x40000000)
for limit, value in (
    (resource.RLIMIT_CPU, {_CPU_S}), (resource.RLIMIT_AS, {_MEMORY_BYTES}), (resource.RLIMIT_FSIZE, 0),
    (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, 16),
):
    resource.setrlimit(limit, (value, value))
REFUSED = ("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.kill", "os.remove",
           "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.link", "os.symlink", "os.truncate",
           "shutil.", "ctypes.", "signal.pthread_kill")
def guard(event, args):
    if event.startswith(REFUSED) or (event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")):
        raise PermissionError(event)
sys.addaudithook(guard)
space = {{"__name__": "candidate"}}
exec(compile(job["program"], "candidate", "exec"), space)
exec(compile(job["test"], "checks", "exec"), space)
space["check"](space[job["entry_point"]])
sys.stdout.write("passed " + job["token"])
"""


def passes(program: str, test: str, entry_point: str, *, wall_s: float = WALL_S) -> bool:
    """Return True when `check(entry_point)` of `test` runs through on `program`."""
    token = f"{id(program):x}"
    job = json.dumps({"program": program, "test": test, "entry_point": entry_point, "token": token})
    with tempfile.TemporaryDirectory() as empty:
        try:
            done = subprocess.run(  # noqa: S603  (our own interpreter; the untrusted text is data on its stdin)
                [sys.executable, "-I", "-c", _CHILD],
                input=job.encode(),
                capture_output=True,
                timeout=wall_s,
                cwd=empty,
                env={},
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
    return done.returncode == 0 and done.stdout.endswith(f"passed {token}".encode())
