"""Nothing that was acknowledged is lost, and nothing is half there, wherever a writer is killed."""

import os
import subprocess
import sys
from pathlib import Path

ROUNDS = 60


def test_a_writer_may_be_killed_at_any_moment(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.support.killed_writer", str(tmp_path / "handbook"), str(ROUNDS)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{ROUNDS} writers killed after ")
    assert int(done.stdout.split()[4]) > ROUNDS
