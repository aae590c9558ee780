import io

import msgspec
import pytest

from headrace.retrieval.chunk.sizes import Sizes
from headrace.retrieval.ingest import child, frames
from headrace.retrieval.ingest.limits import Limits
from headrace.retrieval.ingest.readers import read
from tests.support.counting import word_tokens


def ask(*files: tuple[str, bytes], limits: Limits | None = None) -> tuple[list[frames.Reply], list[float]]:
    stdin, stdout = io.BytesIO(), io.BytesIO()
    for name, content in files:
        frames.write_frame(stdin, msgspec.msgpack.encode(frames.Task(name, limits or Limits(seconds=3))))
        frames.write_frame(stdin, content)
    stdin.seek(0)
    granted: list[float] = []
    child.serve(stdin, stdout, granted.append)
    stdout.seek(0)
    decoder = msgspec.msgpack.Decoder(frames.Done | frames.Refused)
    return [decoder.decode(frames.read_frame(stdout, 1 << 20)) for _ in files], granted


def test_every_file_gets_its_answer_and_its_time() -> None:
    replies, granted = ask(("a.txt", b"hello"), ("b.pdf", b"nope"))
    assert isinstance(replies[0], frames.Done)
    assert replies[0].converted.text == "hello"
    assert isinstance(replies[1], frames.Refused)
    assert replies[1].code == "invalid_file"
    assert granted == [3, 3]


@pytest.mark.parametrize(
    ("error", "code"),
    [(MemoryError(), "file_too_large"), (RecursionError(), "invalid_file"), (KeyError("x"), "invalid_file")],
)
def test_what_a_reader_raises_is_an_answer(monkeypatch: pytest.MonkeyPatch, error: Exception, code: str) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(read, "read", fail)
    reply = child.answer(frames.Task("a.txt", Limits()), b"x")
    assert isinstance(reply, frames.Refused)
    assert reply.code == code


def test_a_file_is_cut_where_sizes_are_given() -> None:
    task = frames.Task("a.txt", Limits(), Sizes(16, 0))
    reply = child.answer(task, b"One two three. " * 20, word_tokens())
    assert isinstance(reply, frames.Done)
    assert len(reply.chunks) > 1
    assert {one.text for one in reply.chunks} == {""}
    refused = child.answer(frames.Task("a.txt", Limits(), Sizes(1, 0)), b"x", word_tokens())
    assert isinstance(refused, frames.Refused)


def test_every_codec_is_loaded_before_the_lock() -> None:
    for kind in (frames.PLAIN, frames.MARKUP):
        child._load(kind)


def test_input_that_is_cut_ends_the_process_quietly() -> None:
    assert child.serve(io.BytesIO(b"\0\0"), io.BytesIO(), lambda _: None) is None  # type: ignore[func-returns-value]


def test_the_whole_of_main_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stream:
        def __init__(self) -> None:
            self.buffer = io.BytesIO()

    stdin, stdout = Stream(), Stream()
    monkeypatch.setattr(child, "leave_network", lambda: True)
    monkeypatch.setattr(child, "lock", lambda _: lambda _: None)
    monkeypatch.setattr("sys.argv", ["child", frames.PLAIN, "0"])
    monkeypatch.setattr("sys.stdin", stdin)
    monkeypatch.setattr("sys.stdout", stdout)
    child.main()
    stdout.buffer.seek(0)
    assert frames.read_frame(stdout.buffer, 100) == frames.READY
