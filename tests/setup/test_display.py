import io

import pytest
from rich.console import Console

from headrace.setup.display import Bars, Lines, megabytes, open_display


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def console(*, terminal: bool = False) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, force_terminal=terminal, width=120, color_system=None), out


def test_a_log_file_gets_lines_and_a_terminal_gets_bars() -> None:
    assert isinstance(open_display(console()[0]), Lines)
    bars = open_display(console(terminal=True)[0])
    bars.close()
    assert isinstance(bars, Bars)


def test_lines_come_at_the_start_and_then_rarely() -> None:
    screen, out = console()
    clock = Clock()
    lines = Lines(screen, clock)
    for second in range(31):
        clock.now = float(second)
        lines.show("fetch", f"{second} MB", second, 100)
    lines.end("fetch")
    assert out.getvalue().splitlines() == [
        "fetch: 0 MB (0%)",
        "fetch: 15 MB (15%)",
        "fetch: 30 MB (30%)",
        "fetch: done after 30 s",
    ]


def test_a_step_that_was_never_shown_can_end() -> None:
    screen, out = console()
    Lines(screen, Clock()).end("import", "already there")
    assert out.getvalue() == "import: already there after 0 s\n"


def test_bars_show_what_and_how_much() -> None:
    screen, out = console(terminal=True)
    bars = Bars(screen)
    bars.show("fetch", "1 of 4 MB", 1, 4)
    bars.end("fetch")
    bars.close()
    assert "fetch" in out.getvalue()
    assert "done" in out.getvalue()


@pytest.mark.parametrize(("done", "total", "text"), [(1_500_000, 0, "2 MB"), (1_000_000, 93_000_000, "1 of 93 MB")])
def test_bytes_are_read_as_megabytes(done: int, total: int, text: str) -> None:
    assert megabytes(done, total) == text
