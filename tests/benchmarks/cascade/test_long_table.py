from pathlib import Path

import numpy as np

from benchmarks.cascade.long_table import Line, below_zero, read, write

PLACE = ("sums", "a + b -> c", "cascade", "right_percent")


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    drawn = Line.drawn(PLACE, np.concatenate(([50.0], np.arange(101.0))), 7)
    below = below_zero(PLACE[:3], np.array([0.0, -1.0, 1.0]), 7)
    write(tmp_path / "x.csv", [drawn, below, Line.plain((*PLACE[:3], "n"), -1e-14, 7)], ("numpy",))
    found = read(tmp_path / "x.csv")
    one = found[PLACE]
    assert (one.value, one.low, one.high) == (50.0, 2.5, 97.5)
    assert found[*PLACE[:3], "draws_below_random_percent"].value == 50.0
    assert drawn.cells()[-1] == "7"
    assert (tmp_path / "x.csv").read_text().splitlines()[-1].endswith("n,0,0,0,7")
