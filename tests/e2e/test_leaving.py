"""A client that leaves stops the engine's work within three seconds, by the engine's own running-requests metric."""

import json
import socket

from openai import OpenAI

from tests.e2e.conftest import LARGE
from tests.support.serving import Served, wait_until

STOPS_WITHIN_S = 3.0
LONG = [{"role": "user", "content": "Count from 1 to 2000 in words, one number a line."}]


def _ask(served: Served, model: str, *, stream: bool) -> socket.socket:
    body = json.dumps({"model": model, "messages": LONG, "max_tokens": 1000, "stream": stream}).encode()
    connection = socket.create_connection(("127.0.0.1", served.port), timeout=60)
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return connection


def _runs(served: Served, model: str) -> None:
    wait_until(lambda: served.engines()[model].running() >= 1, within_s=30, what=f"{model} works on the request")


def _stops(served: Served, model: str) -> None:
    wait_until(lambda: served.engines()[model].running() == 0, within_s=STOPS_WITHIN_S, what=f"{model} stopped")


def test_leaving_a_stream_stops_the_engine(served: Served, client: OpenAI) -> None:
    stream = client.chat.completions.create(model=LARGE, messages=LONG, max_tokens=1000, stream=True)
    next(iter(stream))
    _runs(served, LARGE)

    stream.close()

    _stops(served, LARGE)


def test_leaving_a_whole_answer_stops_the_engine(served: Served) -> None:
    with _ask(served, LARGE, stream=False):
        _runs(served, LARGE)

    _stops(served, LARGE)


def test_leaving_a_judged_stream_stops_the_engine(served: Served) -> None:
    small = "smollm2-135m-instruct-int8"
    with _ask(served, "e2e/early", stream=True):
        _runs(served, small)

    _stops(served, small)


def test_a_reset_connection_stops_the_engine_and_is_recorded_as_cancelled(served: Served) -> None:
    before = served.metric("headrace_attempts_total", tier="large", outcome="cancelled")
    connection = _ask(served, "headrace/large", stream=True)
    connection.recv(1)
    _runs(served, LARGE)

    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    connection.close()

    _stops(served, LARGE)
    wait_until(
        lambda: served.metric("headrace_attempts_total", tier="large", outcome="cancelled") == before + 1,
        within_s=STOPS_WITHIN_S,
        what="the attempt is recorded as cancelled",
    )
