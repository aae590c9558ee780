import sys
from pathlib import Path

import pytest

from headrace.contracts.errors import SetupError
from headrace.setup import pip

SPOKEN = """\
Collecting torch
  Downloading torch-2.13.0-cp311-linux.whl (200 MB)
Progress 0 of 200000000
Progress 50000000 of 200000000
Processing ./wheels/numpy-2.3.5.whl
Installing collected packages: numpy, torch
Successfully installed numpy-2.3.5 torch-2.13.0
"""


def spoken() -> list[str]:
    reading = pip.Reading()
    return [reading.detail(2) for line in SPOKEN.splitlines(keepends=True) if reading.take(line)]


def test_pip_is_followed_package_by_package() -> None:
    assert spoken() == [
        "package 1 of 2: torch",
        "package 1 of 2: torch 0 of 200 MB",
        "package 1 of 2: torch 50 of 200 MB",
        "package 2 of 2: numpy",
        "unpacking 2 packages",
    ]


def test_the_packages_of_a_lock_are_counted(tmp_path: Path) -> None:
    lock = tmp_path / "a.lock"
    lock.write_text("# made by a tool==1\na==1 \\\n    --hash=sha256:00\nb==2 \\\n    --hash=sha256:00\n")
    assert pip.locked(lock) == 2


def test_a_half_installed_package_is_forgotten_and_a_whole_one_kept(tmp_path: Path) -> None:
    for name in ("half-1.dist-info", "whole-1.dist-info"):
        (tmp_path / name / "licenses").mkdir(parents=True)
        (tmp_path / name / "METADATA").touch()
    (tmp_path / "whole-1.dist-info/RECORD").touch()
    assert pip.drop_half_installed(tmp_path) == ["half-1.dist-info"]
    assert [path.name for path in tmp_path.iterdir()] == ["whole-1.dist-info"]


def test_a_failed_run_tells_pips_own_error_the_cure_and_the_log(tmp_path: Path) -> None:
    lock = tmp_path / "a.lock"
    lock.write_text("no-such-thing==1 --hash=sha256:" + "0" * 64 + "\n")
    log = tmp_path / "logs/setup.log"
    arguments = ["--no-index", "--no-deps", "--dry-run", "--find-links", str(tmp_path), "-r", str(lock)]
    with pytest.raises(SetupError, match=r"No matching distribution found for no-such-thing==1.*index.*setup\.log"):
        pip.install(Path(sys.executable), arguments, total=1, log=log, report=lambda *_: None)
    assert "no-such-thing" in log.read_text()
