import json
import os
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from headrace.gateway.ledger.record import Outcome, build
from headrace.gateway.ledger.writer import LineWriter
from headrace.gateway.telemetry.logging import Log, Stream
from tests.support.records import REQUEST, record


@dataclass
class Memory:
    data: bytes = b""
    lost: list[int] = field(default_factory=list)

    def write(self, lines: bytes) -> None:
        self.data += lines

    def close(self) -> None:
        pass

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.data.splitlines()]


def logged(memory: Memory, *, requests: bool = True) -> Log:
    log = Log(LineWriter(memory, flush_s=0.01, capacity=100, on_loss=memory.lost.append, name="log"), requests=requests)
    log.start()
    return log


def test_a_request_is_one_line_with_its_decision() -> None:
    memory = Memory()
    log = logged(memory)
    log.request(record())
    log.close()
    (event,) = memory.events()
    assert event["event"] == "request"
    assert (event["rule"], event["tier"], event["model"]) == ("default", "large", "large-model")
    assert (event["attempts"], event["cost_microusd"], event["revision"]) == (2, 215, "r1")
    assert datetime.fromisoformat(event["timestamp"]).tzinfo is not None


def test_no_header_metadata_or_reason_is_logged() -> None:
    memory = Memory()
    log = logged(memory)
    log.request(record())
    log.close()
    assert not {"headers", "metadata", "messages", "features"} & set(memory.events()[0])


def test_a_request_without_a_plan_is_logged() -> None:
    memory = Memory()
    log = logged(memory)
    log.request(build(REQUEST, None, (), Outcome(404, "model_not_found", 0, 0, 0.1)))
    log.close()
    assert memory.events()[0]["rule"] is None


def test_request_lines_can_be_off_while_events_stay() -> None:
    memory = Memory()
    log = logged(memory, requests=False)
    log.request(record())
    log.event("started", url="http://127.0.0.1:8080", error=ValueError("odd"))
    log.close()
    (event,) = memory.events()
    assert (event["event"], event["error"]) == ("started", "odd")


def test_a_line_break_in_a_value_stays_inside_its_line() -> None:
    memory = Memory()
    log = logged(memory)
    log.event("odd", value="a\nb")
    log.close()
    assert len(memory.events()) == 1


def test_a_stream_writes_all_of_it_and_stays_open() -> None:
    reading, writing = os.pipe()
    stream = Stream(writing)
    stream.write(b"one\n")
    stream.close()
    stream.write(b"two\n")
    os.close(writing)
    assert os.read(reading, 100) == b"one\ntwo\n"
    os.close(reading)


def test_the_log_goes_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    log = Log.to_stderr(requests=True, on_loss=lambda _: None)
    log.start()
    log.event("started")
    log.close()
    assert "started" in capfd.readouterr().err
