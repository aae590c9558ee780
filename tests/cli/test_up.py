import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headrace.cli.up import ready_line
from headrace.setup.instance import Instance
from tests.support.upstream import Upstream

CONFIG = """\
version: 1
server: {{host: 127.0.0.1, port: {port}}}
backends:
  only: {{urls: ["{url}"], model: m, capabilities: [stream], context_tokens: 4096,
         price: {{input_usd_per_mtok: 0.1, output_usd_per_mtok: 0.1}}}}
tiers:
  - {{id: small, default: only}}
virtual_models:
  headrace/auto: {{select: [{{id: default, use: small}}]}}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command(home: Path, config: Path, *options: str) -> subprocess.Popen[str]:
    env = {name: value for name, value in os.environ.items() if name not in {"HEADRACE_PORT", "HEADRACE_API_KEYS"}}
    return subprocess.Popen(
        [sys.executable, "-c", "from headrace.cli import main; main()", "up", "--config", str(config), *options],
        env=env | {"HEADRACE_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    point_at("http://127.0.0.1:9/v1", path)
    return path


def point_at(url: str, config: Path) -> None:
    config.write_text(CONFIG.format(port=free_port(), url=url))


def test_the_ready_line_is_one_line_with_a_curl_that_parses() -> None:
    line = ready_line("http://127.0.0.1:8080", has_keys=False)
    assert "\n" not in line
    assert json.loads(line.split(" -d '")[1].rstrip("'"))["model"] == "headrace/auto"


def test_with_keys_on_the_curl_shows_where_the_key_goes() -> None:
    assert "authorization: Bearer" in ready_line("http://h:1", has_keys=True)


def test_preparing_a_config_of_urls_builds_and_starts_nothing(tmp_path: Path, config: Path) -> None:
    with command(tmp_path / "home", config, "--prepare-only") as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")


def test_a_second_instance_says_pid_and_port_in_one_line(tmp_path: Path, config: Path) -> None:
    with Instance(tmp_path / "home", port=8080), command(tmp_path / "home", config) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err.count("\n") == 1
    assert f"pid {os.getpid()}, port 8080" in err


def test_a_port_in_use_is_one_line_with_the_cure(tmp_path: Path, config: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with command(tmp_path / "home", config, "--port", str(taken.getsockname()[1])) as process:
            _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "HEADRACE_PORT" in err
    assert err.count("\n") == 1


async def test_it_says_ready_once_with_a_url_and_ends_on_sigterm(tmp_path: Path, config: Path) -> None:
    async with Upstream() as upstream:
        point_at(upstream.url, config)
        ready, status = await _run_until_ready(command(tmp_path / "home", config))
    assert len(ready) == 1
    assert "/v1/chat/completions" in ready[0]
    assert status == 0


async def _run_until_ready(process: subprocess.Popen[str]) -> tuple[list[str], int]:
    """Read lines in a thread until the ready line, then end the process and return all ready lines and its status."""

    def follow() -> tuple[list[str], int]:
        give_up = time.monotonic() + 60
        lines: list[str] = []
        with process:
            for line in process.stdout or ():
                lines.append(line)
                if line.startswith("ready:") or time.monotonic() > give_up:
                    process.send_signal(signal.SIGTERM)
            return [line for line in lines if line.startswith("ready:")], process.wait(timeout=60)

    return await asyncio.to_thread(follow)
