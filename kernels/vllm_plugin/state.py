"""What the plug-in tells the outside: hooks that are in, hooks that failed, how often each served, each refusal.

One small JSON file a process, `<pid>.json` in the folder that `HEADRACE_KERNELS_STATE` names, written atomically and at
most once in `WRITE_EVERY_S`; no folder, no file. Counting never waits for the disk.
"""

import atexit
import contextlib
import json
import os
import threading
import time
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any, Final

from headrace.kernels import dispatch

STATE_VARIABLE: Final = "HEADRACE_KERNELS_STATE"
WRITE_EVERY_S: Final = 1.0
MOST_ERROR_CHARS: Final = 300

_lock: Final = threading.Lock()
_served: Final[Counter[str]] = Counter()
_installed: Final[dict[str, str]] = {}
_failed: Final[dict[str, str]] = {}
_pending: Final[list[threading.Timer]] = []


def install(hook: str, what: str) -> None:
    """Note a hook that is in and what stands behind it."""
    with _lock:
        _installed[hook] = what
        _failed.pop(hook, None)
    write()


def fail(hook: str, error: str) -> None:
    """Note a hook that could not be put in; the engine serves without it."""
    with _lock:
        _failed[hook] = error[:MOST_ERROR_CHARS]
    write()


def is_installed(hook: str) -> bool:
    """Tell whether the hook is in."""
    return hook in _installed


def serve(hook: str) -> None:
    """Count one call that was ours."""
    with _lock:
        _served[hook] += 1
    _write_soon()


def refuse(op: str, reason: str) -> None:
    """Count one call or layer that was left to vLLM, and why."""
    dispatch.refuse(op, reason)
    _write_soon()


def snapshot() -> dict[str, Any]:
    """Return the whole state as it is written."""
    refusals = [[op, reason, count] for (op, reason), count in sorted(dispatch.refusals().items())]
    with _lock:
        return {
            "pid": os.getpid(),
            "written_s": time.time(),
            "installed": dict(_installed),
            "failed": dict(_failed),
            "served": dict(_served),
            "refusals": refusals,
        }


def write() -> None:
    """Write the state now, where a folder is named; a full or missing disk disturbs nobody."""
    with _lock:
        _pending.clear()
    folder = os.environ.get(STATE_VARIABLE)
    if not folder:
        return
    path = Path(folder) / f"{os.getpid()}.json"
    scratch = path.with_suffix(".tmp")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(json.dumps(snapshot()), encoding="utf-8")
        scratch.replace(path)


def forget() -> None:
    """Begin anew, for tests."""
    with _lock:
        for timer in _pending:
            timer.cancel()
        for kept in (_served, _installed, _failed, _pending):
            kept.clear()


@cache
def write_at_end() -> None:
    """Write once more when the process ends, so that the last counts are not lost."""
    atexit.register(write)


def _write_soon() -> None:
    if _pending or STATE_VARIABLE not in os.environ:
        return
    with _lock:
        if _pending:
            return
        timer = threading.Timer(WRITE_EVERY_S, write)
        timer.daemon = True
        _pending.append(timer)
    timer.start()
