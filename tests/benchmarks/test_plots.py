from pathlib import Path

import pytest

from benchmarks.cascade.long_table import read

pytest.importorskip("matplotlib", reason="drawing needs the extra `bench`")

from benchmarks import plots


def test_every_picture_is_drawn_from_the_results_in_git(tmp_path: Path) -> None:
    plots.main(pictures=tmp_path)
    drawn = {path.name for path in tmp_path.glob("*.png")}
    assert drawn == {path.name for path in plots.PICTURES.glob("*.png")}
    assert max(path.stat().st_size for path in tmp_path.glob("*.png")) < 100_000


def test_what_is_drawn_is_in_the_result_files() -> None:
    for name, places in (("cascade_replay", plots.CASCADES), ("experts_replay", plots.POOLS)):
        known = {(source, setup) for source, setup, _, _ in read(plots.RESULTS / f"{name}.csv")}
        assert {(source, setup) for source, setup, _ in places} <= known
