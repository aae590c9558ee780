"""The rows of the comparison really pass bytes on, and the processes are measured and stopped."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop

from benchmarks.overhead.load import Load, Shape, requests
from benchmarks.overhead.own_client import OwnClient
from benchmarks.overhead.process import Measured, free_port
from benchmarks.overhead.rows import ROWS, Row

GATEWAYS = [row for row in ROWS if row.command is not None]
ALL_CPUS = {0, 1}


@pytest.fixture(scope="module")
def mock_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.overhead.mock", "--port", str(port), "--ttft-ms", "0", "--gap-ms", "0"]
    mock = Measured(command, port=port, cpus=ALL_CPUS, log=tmp_path_factory.mktemp("mock") / "log")
    try:
        mock.wait_for(next(requests("mock", port, streams=False)))
        yield port
    finally:
        mock.stop()


@pytest.mark.parametrize("row", GATEWAYS, ids=[row.name for row in GATEWAYS])
def test_every_gateway_of_the_comparison_answers_and_streams(row: Row, mock_port: int, tmp_path: Path) -> None:
    port = free_port()
    assert row.command is not None
    gateway = Measured(row.command(port, mock_port, tmp_path), port=port, cpus=ALL_CPUS, log=tmp_path / "log")
    try:
        cold_s = gateway.wait_for(next(requests(row.model, port, streams=False)))
        for shape in (Shape(streams=False, in_flight=2), Shape(streams=True, in_flight=2)):
            tally = uvloop.run(Load(port, row.model, shape).run(0.1))
            assert tally.failures == []
            assert tally.requests >= 2
        assert cold_s > 0
        assert gateway.cpu_s() > 0
        assert 10 < gateway.rss_mb() <= gateway.peak_rss_mb() + 1
    finally:
        gateway.stop()


def test_the_own_client_reads_whole_answers_and_streams(mock_port: int) -> None:
    async def ask() -> tuple[bytes, bytes]:
        client = OwnClient("127.0.0.1", mock_port)
        whole = await client.post("/v1/chat/completions", b"{}")
        stream = await client.post("/v1/chat/completions", b'{"stream":true}')
        await client.close()
        return whole, stream

    whole, stream = uvloop.run(ask())

    assert b'"chat.completion"' in whole
    assert stream.endswith(b"data: [DONE]\n\n")


def test_a_process_that_ends_at_once_is_told_with_its_output(tmp_path: Path) -> None:
    process = Measured(
        [sys.executable, "-c", "import sys; sys.exit('no such gateway')"],
        port=free_port(),
        cpus=ALL_CPUS,
        log=tmp_path / "log",
    )

    with pytest.raises(RuntimeError, match="no such gateway"):
        process.wait_for(b"")


def test_the_benchmark_explains_itself() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "benchmarks.gateway_overhead", "--help"], capture_output=True, text=True, check=True
    )
    assert "--quick" in shown.stdout
