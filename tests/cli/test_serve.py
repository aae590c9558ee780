import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.gateway import CONFIG


@pytest.fixture
def served(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    file = tmp_path / "headrace.yaml"
    file.write_text(CONFIG.format(small="http://127.0.0.1:9/v1", large="http://127.0.0.1:9/v1", folder=tmp_path))
    process = subprocess.Popen(
        [sys.executable, "-c", "from headrace.cli import main; main()", "serve", "--config", file, "--port", "0"],
        env={**os.environ, "HEADRACE_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.kill()


def test_serve_says_where_it_listens_and_ends_cleanly_on_sigterm(served: subprocess.Popen[str]) -> None:
    assert served.stdout is not None
    line = served.stdout.readline()
    assert line.startswith("headrace listens on http://127.0.0.1:")
    assert "keys off" in line
    url = line.split()[3]
    assert httpx2.get(f"{url}/livez").status_code == 200
    assert httpx2.get(f"{url}/readyz").status_code == 503
    served.send_signal(signal.SIGTERM)
    assert served.wait(15) == 0
    with pytest.raises(httpx2.TransportError):
        httpx2.get(f"{url}/livez")


def test_the_served_process_is_small(served: subprocess.Popen[str]) -> None:
    assert served.stdout is not None
    served.stdout.readline()
    resident = next(
        int(line.split()[1]) for line in Path(f"/proc/{served.pid}/status").read_text().splitlines() if "VmRSS" in line
    )
    assert resident < 120_000
