"""The converting process: `python -I -m headrace.retrieval.ingest.child KIND MEMORY_BYTES [EMBEDDER_FOLDER]`.

KIND `markup` reads HTML and DOCX, which takes half a second longer to load than what `plain` reads. First it imports
its readers and reads the embedder's tokenizer, then it locks itself down, then it converts and cuts one file after
another, frames in, frames out, until its input ends. What a reader raises is an answer; what ends the process is one
too, given by the parent, which starts another.
"""

import codecs
import importlib
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
from msgspec import structs

from headrace.contracts.errors import InvalidRequest
from headrace.retrieval.chunk.chunk import chunk
from headrace.retrieval.chunk.tokens import Tokenizer, Tokens
from headrace.retrieval.ingest import frames, refusals
from headrace.retrieval.ingest.frames import MARKUP, READY
from headrace.retrieval.ingest.lockdown import leave_network, lock

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


def serve(
    stdin: BinaryIO, stdout: BinaryIO, grant: Callable[[float], None], tokenizer: Tokenizer | None = None
) -> None:
    """Answer every task until the input ends."""
    while True:
        try:
            task = msgspec.msgpack.decode(frames.read_frame(stdin, _TASK_BYTES), type=frames.Task)
            content = frames.read_frame(stdin, task.limits.max_bytes)
        except frames.FrameError:
            return
        grant(task.limits.seconds)
        frames.write_frame(stdout, msgspec.msgpack.encode(answer(task, content, tokenizer)))


def answer(task: frames.Task, content: bytes, tokenizer: Tokenizer | None = None) -> frames.Reply:
    """Convert one file, and cut it if that is asked for; every failure is a reply."""
    from headrace.retrieval.ingest.readers.read import read  # noqa: PLC0415  (after the process left the network)

    try:
        converted = read(task.name, content, task.limits)
        if task.sizes is None or tokenizer is None:
            return frames.Done(converted)
        sizes = task.sizes
        chunks = chunk(converted, max_tokens=sizes.max_tokens, overlap=sizes.overlap, tokenizer=tokenizer)
        return frames.Done(converted, tuple(structs.replace(one, text="") for one in chunks))
    except InvalidRequest as exc:
        error = exc
    except MemoryError:
        limit = f"{task.limits.memory_bytes >> 20:,} MiB"
        error = refusals.too_large("needs", "more memory to convert", limit)
    except _TROUBLE as exc:
        error = refusals.invalid(f"cannot be converted ({type(exc).__name__})")
    return frames.Refused(error.code or "invalid_file", error.message)


def _load(kind: str) -> None:
    """Import all that is imported late: nothing can be opened afterwards."""
    from charset_normalizer.constant import IANA_SUPPORTED  # noqa: PLC0415  (after the process left the network)

    importlib.import_module("headrace.retrieval.ingest.readers.read")
    if kind == MARKUP:
        importlib.import_module("headrace.retrieval.ingest.readers.docx")
    for name in (*IANA_SUPPORTED, "utf-8-sig", "utf-16", "utf-32"):
        codecs.lookup(name)


def main() -> None:
    """Lock this process down, then serve."""
    leave_network()
    warnings.simplefilter("ignore")
    kind, memory_bytes, *embedder = sys.argv[1:]
    _load(kind)
    tokenizer = Tokens.load(Path(embedder[0])) if embedder else None
    grant = lock(int(memory_bytes))
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    frames.write_frame(stdout, READY)
    serve(stdin, stdout, grant, tokenizer)


if __name__ == "__main__":
    main()
