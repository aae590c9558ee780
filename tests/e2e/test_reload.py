"""The config changes while requests run: nothing is dropped, a bad file changes nothing."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from openai import OpenAI

from tests.e2e.conftest import SMALL
from tests.support.serving import Served, wait_until

QUESTION: Any = [{"role": "user", "content": "Name three rivers of Europe."}]


@pytest.fixture
def config(served: Served) -> Iterator[dict[str, Any]]:
    """The config in the file, put back afterwards."""
    before = served.config()
    yield served.config()
    reloads = served.metric("headrace_config_reloads_total")
    served.write_config(before)
    wait_until(
        lambda: served.metric("headrace_config_reloads_total") > reloads, within_s=20, what="the old config is back"
    )


def _stream(client: OpenAI, model: str) -> str:
    chunks = list(
        client.chat.completions.create(model=model, messages=QUESTION, max_tokens=64, temperature=0, stream=True)
    )
    return chunks[-1].choices[0].finish_reason or "cut"


def test_requests_that_run_during_a_reload_all_finish(served: Served, client: OpenAI, config: dict[str, Any]) -> None:
    reloads = served.metric("headrace_config_reloads_total", outcome="ok")
    config["aliases"]["fresh-name"] = SMALL

    with ThreadPoolExecutor(6) as pool:
        running = [pool.submit(_stream, client, "e2e/lenient") for _ in range(6)]
        wait_until(lambda: served.engines()[SMALL].running() >= 1, within_s=30, what="requests run")
        served.write_config(config)
        wait_until(
            lambda: served.metric("headrace_config_reloads_total", outcome="ok") == reloads + 1,
            within_s=20,
            what="the new config is in force",
        )
        ends = [each.result() for each in running]

    assert set(ends) <= {"stop", "length"}
    assert _stream(client, "fresh-name") in {"stop", "length"}


def test_a_bad_config_keeps_the_last_good_one(served: Served, client: OpenAI, config: dict[str, Any]) -> None:
    revision = served.get("/healthz").json()["revision"]
    failed = served.metric("headrace_config_reloads_total", outcome="failed")
    config["virtual_models"]["headrace/auto"]["select"][0]["use"] = "smal"

    served.write_config(config)
    served.process.send_signal(signal.SIGHUP)
    wait_until(
        lambda: served.metric("headrace_config_reloads_total", outcome="failed") > failed,
        within_s=20,
        what="the bad config is refused",
    )

    assert served.get("/healthz").json()["revision"] == revision
    assert _stream(client, "headrace/small") in {"stop", "length"}
