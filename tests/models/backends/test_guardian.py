import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from headrace.models.backends import guardian
from headrace.models.backends.guardian import CappedLog

FAMILY = """
import signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("child", child.pid, flush=True)
{then}
"""


def start(log: Path, script: str, *, stop_s: float = 5.0) -> tuple[subprocess.Popen[bytes], int]:
    read, write = os.pipe()
    command = [sys.executable, "-I", guardian.__file__, str(read), str(stop_s), str(log), "100000", "--"]
    process = subprocess.Popen([*command, sys.executable, "-c", script], pass_fds=(read,), start_new_session=True)
    os.close(read)
    return process, write


def grandchild(log: Path) -> psutil.Process:
    for _ in range(1000):
        if log.exists() and (words := log.read_text().split())[:1] == ["child"] and len(words) > 1:
            return psutil.Process(int(words[1]))
        psutil.wait_procs([], timeout=0.01)
        signal.sigtimedwait([], 0.02)
    pytest.fail("the command did not start")


@pytest.mark.parametrize("how", ["lifeline", "sigterm", "command_ends"])
def test_nothing_of_the_family_outlives(tmp_path: Path, how: str) -> None:
    log = tmp_path / "log"
    then = "sys.exit(3)" if how == "command_ends" else "time.sleep(600)"
    process, lifeline = start(log, FAMILY.format(then=then))
    try:
        child = grandchild(log)
        if how == "lifeline":
            os.close(lifeline)
        if how == "sigterm":
            process.terminate()
        status = process.wait(20)
    finally:
        if how != "lifeline":
            os.close(lifeline)
    assert status == (3 if how == "command_ends" else 128 + signal.SIGTERM)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_command_deaf_to_sigterm_is_killed_after_its_time(tmp_path: Path) -> None:
    log = tmp_path / "log"
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\ntime.sleep(600)"
    process, lifeline = start(log, FAMILY.format(then=deaf), stop_s=0.2)
    grandchild(log)
    while "deaf" not in log.read_text():
        signal.sigtimedwait([], 0.02)
    os.close(lifeline)
    assert process.wait(20) == 128 + signal.SIGKILL


def test_a_killed_guardian_takes_its_command_along(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process, lifeline = start(log, "import os, time; print('child', os.getpid(), flush=True); time.sleep(600)")
    child = grandchild(log)
    process.kill()
    process.wait(10)
    os.close(lifeline)
    gone, _ = psutil.wait_procs([child], timeout=10)
    assert gone or child.status() == psutil.STATUS_ZOMBIE


def test_a_missing_command_is_told_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    read, write = os.pipe()
    command = [sys.executable, "-I", guardian.__file__, str(read), "1", str(log), "1000", "--", "/no/such/program"]
    assert subprocess.run(command, pass_fds=(read,), check=False, start_new_session=True).returncode == 127
    assert "could not start '/no/such/program'" in log.read_text()
    os.close(read)
    os.close(write)


def test_the_log_is_capped_and_one_older_file_is_kept(tmp_path: Path) -> None:
    log = CappedLog(tmp_path / "log", 100)
    for number in range(30):
        log.write(f"line {number:04}\n".encode())
    log.close()
    assert (tmp_path / "log").read_text().endswith("line 0029\n")
    assert (tmp_path / "log").stat().st_size <= 100
    assert (tmp_path / "log.1").stat().st_size <= 100
    assert len(list(tmp_path.iterdir())) == 2
