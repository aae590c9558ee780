"""The converting process: `python -I -m headrace.retrieval.ingest.child MEMORY_BYTES`, frames in, frames out.

It imports every reader first, then locks itself down, then converts one file after another until its input ends. What a
reader raises is an answer; what ends the process is one too, given by the parent, which starts another.
"""

import codecs
import sys
import warnings
from collections.abc import Callable
from typing import BinaryIO, Final

import msgspec

from headrace.contracts.errors import InvalidRequest
from headrace.retrieval.ingest import frames, refusals
from headrace.retrieval.ingest.lockdown import leave_network, lock

READY: Final = b"ready"
_TASK_BYTES: Final = 1 << 16
_TROUBLE: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)


def serve(stdin: BinaryIO, stdout: BinaryIO, grant: Callable[[float], None]) -> None:
    """Answer every task until the input ends."""
    while True:
        try:
            task = msgspec.msgpack.decode(frames.read_frame(stdin, _TASK_BYTES), type=frames.Task)
            content = frames.read_frame(stdin, task.limits.max_bytes)
        except frames.FrameError:
            return
        grant(task.limits.seconds)
        frames.write_frame(stdout, msgspec.msgpack.encode(answer(task, content)))


def answer(task: frames.Task, content: bytes) -> frames.Reply:
    """Convert one file; every failure is a reply."""
    from headrace.retrieval.ingest.readers.read import read  # noqa: PLC0415  (after the process left the network)

    try:
        return frames.Done(read(task.name, content, task.limits))
    except InvalidRequest as exc:
        error = exc
    except MemoryError:
        limit = f"{task.limits.memory_bytes >> 20:,} MiB"
        error = refusals.too_large("needs", "more memory to convert", limit)
    except _TROUBLE as exc:
        error = refusals.invalid(f"cannot be converted ({type(exc).__name__})")
    return frames.Refused(error.code or "invalid_file", error.message)


def _load() -> None:
    """Import all that is imported late: nothing can be opened afterwards."""
    from charset_normalizer.constant import IANA_SUPPORTED  # noqa: PLC0415

    import headrace.retrieval.ingest.readers.read  # noqa: F401, PLC0415  (after the process left the network)

    for name in (*IANA_SUPPORTED, "utf-8-sig", "utf-16", "utf-32"):
        codecs.lookup(name)


def main() -> None:
    """Lock this process down, then serve."""
    leave_network()
    warnings.simplefilter("ignore")
    _load()
    grant = lock(int(sys.argv[1]))
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    frames.write_frame(stdout, READY)
    serve(stdin, stdout, grant)


if __name__ == "__main__":
    main()
