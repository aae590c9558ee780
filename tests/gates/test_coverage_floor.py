import json
from pathlib import Path

import pytest

from tests.gates import coverage_floor


def test_a_file_at_its_floor_passes() -> None:
    assert coverage_floor.shortfalls({"gateway/app.py": 80.0}, ["gateway/app.py"]) == []


def test_a_file_below_its_floor_is_named() -> None:
    (line,) = coverage_floor.shortfalls({"gateway/app.py": 79.4}, ["gateway/app.py"])
    assert line == "gateway/app.py: 79% of its lines run in tests, the floor is 80%"


def test_a_file_no_test_imports_counts_as_nothing() -> None:
    assert len(coverage_floor.shortfalls({}, ["gateway/app.py"])) == 1


def test_an_exception_lowers_one_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage_floor, "LOWER", {"gateway/app.py": (10.0, "starts in its own process")})
    assert coverage_floor.shortfalls({"gateway/app.py": 11.0}, ["gateway/app.py"]) == []
    assert coverage_floor.stale(["gateway/wiring.py"]) == ["coverage_floor.py: no file gateway/app.py"]


def test_reports_are_read_by_real_paths_and_the_best_one_counts(tmp_path: Path) -> None:
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway/app.py").touch()
    (tmp_path / "src").mkdir()
    (tmp_path / "src/gateway").symlink_to(tmp_path / "gateway")
    reports = [tmp_path / "one.json", tmp_path / "two.json"]
    for report, name, percent in zip(reports, ("src/gateway/app.py", "gateway/app.py"), (91.5, 12.0), strict=True):
        report.write_text(json.dumps({"files": {name: {"summary": {"percent_covered": percent}}}}))
    assert coverage_floor.measured_percent(reports, tmp_path) == {"gateway/app.py": 91.5}
