import pytest

from headrace.models.store.progress import Progress, ignore


def test_ignoring_progress_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    ignore(Progress("tiny", "fetch", 1, 2))
    assert capsys.readouterr().out == ""
