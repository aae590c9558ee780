import threading
from dataclasses import dataclass, field

from headrace.gateway.ledger.writer import LineWriter


@dataclass
class Kept:
    """A sink in memory; `fails` makes every write fail, `gate` holds writes back until it is set."""

    fails: bool = False
    gate: threading.Event = field(default_factory=threading.Event)
    busy: threading.Event = field(default_factory=threading.Event)
    lines: list[bytes] = field(default_factory=list)
    is_closed: bool = False

    def write(self, lines: bytes) -> None:
        self.busy.set()
        self.gate.wait(10)
        if self.fails:
            raise OSError(28, "No space left on device")
        self.lines.append(lines)

    def close(self) -> None:
        self.is_closed = True


def writer(sink: Kept, lost: list[int], capacity: int = 100) -> LineWriter:
    return LineWriter(sink, flush_s=0.01, capacity=capacity, on_loss=lost.append)


def test_lines_arrive_whole_and_in_order() -> None:
    sink, lost = Kept(), list[int]()
    sink.gate.set()
    lines = writer(sink, lost)
    lines.start()
    for number in range(50):
        lines.write(b"%d\n" % number)
    lines.close()
    assert b"".join(sink.lines) == b"".join(b"%d\n" % number for number in range(50))
    assert sink.is_closed
    assert lost == []


def test_a_full_queue_drops_the_newest_and_counts_it() -> None:
    sink, lost = Kept(), list[int]()
    lines = writer(sink, lost, capacity=3)
    for _ in range(5):
        lines.write(b"x\n")
    assert lost == [1, 1]


def test_a_slow_disk_never_holds_the_caller_up() -> None:
    sink, lost = Kept(), list[int]()
    lines = writer(sink, lost, capacity=2)
    lines.start()
    lines.write(b"a\n")
    assert sink.busy.wait(10)
    for _ in range(4):
        lines.write(b"b\n")
    assert lost == [1, 1]
    sink.gate.set()
    lines.close()
    assert b"".join(sink.lines) == b"a\nb\nb\n"


def test_a_full_disk_is_counted_and_the_writer_goes_on() -> None:
    sink, lost = Kept(fails=True), list[int]()
    sink.gate.set()
    lines = writer(sink, lost)
    lines.start()
    lines.write(b"a\n")
    lines.close()
    assert lost == [1]
    lines.write(b"late\n")
    assert lost == [1, 1]


def test_a_writer_that_never_started_closes() -> None:
    writer(Kept(), []).close()
