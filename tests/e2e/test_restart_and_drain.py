"""An engine that is killed comes back; SIGTERM lets running answers finish and leaves nothing behind.

One gateway with the small model only, apart from the session's pair. The drain test ends it, so it stands last.
"""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import psutil
import pytest
from openai import APIError, OpenAI

from tests.e2e.conftest import SMALL, START_S, default_config
from tests.support.serving import Served, is_listening, wait_until

STORY: Any = [{"role": "user", "content": "Tell me a long story about a lighthouse and its keeper."}]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway whose only engine is the small one."""
    config = default_config()
    small = config["tiers"][0]
    config |= {
        "tiers": [small],
        "backends": {small["default"]: config["backends"][small["default"]]},
        "virtual_models": {"headrace/auto": {"select": [{"id": "default", "use": small["id"]}]}},
        "aliases": {},
    }
    config.pop("embeddings")
    with Served(config, tmp_path_factory.mktemp("alone")) as gateway:
        wait_until(gateway.is_ready, within_s=START_S, what="the small model is ready")
        yield gateway


def _stream(client: OpenAI, max_tokens: int) -> str:
    """Return how a stream ended: its finish reason, or the class of the error."""
    try:
        stream = client.chat.completions.create(model=SMALL, messages=STORY, max_tokens=max_tokens, stream=True)
        return [chunk.choices[0].finish_reason for chunk in stream if chunk.choices][-1] or "cut"
    except APIError as error:
        return type(error).__name__


def test_a_killed_engine_ends_its_streams_in_an_error_and_comes_back(alone: Served) -> None:
    engine = alone.engines()[SMALL]
    with alone.client() as client, ThreadPoolExecutor(4) as pool:
        running = [pool.submit(_stream, client, 2000) for _ in range(4)]
        wait_until(lambda: engine.running() == 4, within_s=60, what="four requests run")
        os.kill(engine.pid, signal.SIGKILL)
        ends = [each.result(60) for each in running]
        refused = alone.post("/v1/chat/completions", {"model": SMALL, "messages": STORY})
        came_back_s = wait_until(
            lambda: _stream(client, 4) in {"stop", "length"}, within_s=START_S, what="the engine answers again"
        )

    assert set(ends) == {"APIError"}, "an answer cut short must not look whole"
    assert refused.status_code == 503
    assert refused.json()["error"]["message"]
    assert came_back_s > 0
    assert alone.engines()[SMALL].pid != engine.pid
    assert not psutil.pid_exists(engine.pid)


def test_sigterm_drains_and_leaves_no_process_or_port(alone: Served) -> None:
    engine = alone.engines()[SMALL]
    family = psutil.Process(alone.process.pid).children(recursive=True)
    first, ends = threading.Event(), []

    def stream() -> None:
        with alone.client() as client:
            answer = client.chat.completions.create(model=SMALL, messages=STORY, max_tokens=150, stream=True)
            for chunk in answer:
                first.set()
                ends.append(chunk.choices[0].finish_reason)

    answering = threading.Thread(target=stream)
    answering.start()
    assert first.wait(60)

    alone.process.send_signal(signal.SIGTERM)

    wait_until(lambda: _readyz(alone) == httpx2.codes.SERVICE_UNAVAILABLE, within_s=2, what="/readyz says 503")
    answering.join(60)
    assert ends[-1] in {"stop", "length"}, "the running answer was cut"
    assert alone.process.wait(60) == 0
    assert not is_listening(alone.port)
    assert not is_listening(engine.port)
    wait_until(lambda: not any(p.is_running() for p in family), within_s=5, what="no process stays behind")


def _readyz(served: Served) -> int:
    try:
        return served.get("/readyz").status_code
    except httpx2.TransportError:
        return 0
