"""A whole headrace as a user starts it: `headrace serve` as a process, with its engines and metrics."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import httpx2
import psutil
import yaml
from openai import OpenAI
from prometheus_client.parser import text_string_to_metric_families

ENGINE_MODULE: Final = "vllm.entrypoints.openai.api_server"
ROOT: Final = Path(__file__).parents[2]
_POLL_S: Final = 0.1
# Made once: a client an ask would read the system's certificates each time.
_HTTP: Final = httpx2.Client(timeout=120)


@dataclass(frozen=True, slots=True)
class Engine:
    """One running vLLM server, found by its command line."""

    pid: int
    port: int
    model: str

    def running(self) -> float:
        """Requests that the engine works on right now, by its own metric."""
        text = _HTTP.get(f"http://127.0.0.1:{self.port}/metrics").text
        return total(text, "vllm:num_requests_running")


class Served:
    """One gateway process with everything it started. Use as a context manager; leaving ends it."""

    def __init__(self, config: dict[str, Any], folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config_file = folder / "headrace.yaml"
        self.log = folder / "serve.log"
        self.write_config({**config, "ledger": {"folder": str(folder / "ledger")}})
        with self.log.open("wb") as sink:
            self.process = subprocess.Popen(
                [
                    Path(sys.executable).with_name("headrace"),
                    "serve",
                    "--config",
                    self.config_file,
                    "--port",
                    str(self.port),
                ],
                stdout=sink,
                stderr=sink,
                stdin=subprocess.DEVNULL,
                cwd=ROOT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def write_config(self, config: dict[str, Any]) -> None:
        """Replace the config file in one step, as an editor does."""
        fresh = self.config_file.with_suffix(".new")
        fresh.write_text(yaml.safe_dump(config, sort_keys=False))
        fresh.replace(self.config_file)

    def config(self) -> dict[str, Any]:
        """Return the config in the file."""
        value: dict[str, Any] = yaml.safe_load(self.config_file.read_text())
        return value

    def client(self) -> OpenAI:
        """Return an official client that hides no failure behind a retry."""
        return OpenAI(base_url=f"{self.url}/v1", api_key="none-needed", max_retries=0, timeout=120)

    def get(self, path: str) -> httpx2.Response:
        """GET a path of the gateway."""
        return _HTTP.get(self.url + path)

    def post(self, path: str, body: dict[str, Any]) -> httpx2.Response:
        """POST JSON to a path of the gateway."""
        return _HTTP.post(self.url + path, json=body)

    def is_ready(self) -> bool:
        """Tell whether /readyz says yes; raises when the process has ended."""
        if self.process.poll() is not None:
            raise RuntimeError(f"headrace ended with {self.process.returncode}: {self.log.read_text()[-3000:]}")
        try:
            return self.get("/readyz").status_code == httpx2.codes.OK
        except httpx2.TransportError:
            return False

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of the gateway's samples of that name that bear these labels."""
        return total(self.get("/metrics").text, name, **labels)

    def engines(self) -> dict[str, Engine]:
        """Return the running engines by the model they serve."""
        found = {}
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                words = process.cmdline()
            except psutil.NoSuchProcess:
                continue
            if words[1:3] == ["-m", ENGINE_MODULE]:
                model = _after(words, "--served-model-name")
                found[model] = Engine(process.pid, int(_after(words, "--port")), model)
        return found


def total(metrics: str, name: str, **labels: str) -> float:
    """Return the sum of all samples of that name and these labels in a Prometheus text."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def wait_until(holds: Callable[[], bool], *, within_s: float, what: str) -> float:
    """Poll until it holds and return the seconds that took; AssertionError naming `what` when it does not in time."""
    started = time.monotonic()
    while not holds():
        if time.monotonic() - started > within_s:
            raise AssertionError(f"not within {within_s} s: {what}")
        time.sleep(_POLL_S)
    return time.monotonic() - started


def free_port() -> int:
    """Return a loopback port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def is_listening(port: int) -> bool:
    """Tell whether anything accepts connections on a loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _after(words: list[str], flag: str) -> str:
    return words[words.index(flag) + 1]
