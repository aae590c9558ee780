import sys
from pathlib import Path

import pytest

from headrace.gateway.wiring.system import load_artefacts
from headrace.router.quality.model import load as load_quality
from tests.support.gateway import CONFIG, Running, ask, running, settings_for
from tests.support.quality import UNLIKE
from tests.support.upstream import Upstream

WEIGHED = CONFIG.replace(
    "{{id: default, use: small}}", "{{id: default, use: {{strategy: quality_at_cost, lambda: 0.5}}}}"
)


async def test_the_gateway_process_has_no_engine_library_in_it(gateway: Running) -> None:
    assert await gateway.is_healthy()
    assert not {"torch", "vllm", "transformers"} & sys.modules.keys()


def test_the_artefacts_are_named_by_their_hashes() -> None:
    assert len(load_artefacts().hashes["difficulty"]) == 64


async def test_a_policy_that_weighs_no_quality_predicts_none(gateway: Running) -> None:
    assert gateway.system.revisions.current.quality is None
    _, plan, _ = await gateway.post("/v1/headrace/explain", ask("What is the capital of France?"))
    assert plan["features"]["quality"] == {}


async def test_a_policy_that_weighs_quality_has_it_for_every_backend(
    tmp_path: Path, small: Upstream, large: Upstream, capfd: pytest.CaptureFixture[str]
) -> None:
    async with running(settings_for(tmp_path, small.url, large.url, WEIGHED)) as gateway:
        _, plan, _ = await gateway.post("/v1/headrace/explain", ask("What is the capital of France?"))
        assert plan["features"]["quality"].keys() == {"s", "l"}
        assert all(0 < value < 1 for value in plan["features"]["quality"].values())
        assert plan["rule"] == "default"
        _, unlike, _ = await gateway.post("/v1/headrace/explain", ask(UNLIKE))
        assert unlike["features"]["quality"] == {}
        _, _, headers = await gateway.post("/v1/chat/completions", ask("What is the capital of France?"))
        record = await gateway.system._ledger.find(headers["x-headrace-decision"], "default")
        assert record is not None
        assert record["artefacts"]["quality"] == load_quality().sha256
        assert await gateway.is_healthy()
    told = [line for line in capfd.readouterr().err.splitlines() if "quality_from_size" in line]
    assert [name for name in ("s", "l") if any(f'"backend":"{name}"' in line for line in told)] == ["s", "l"]


async def test_a_reload_brings_predicted_quality_and_takes_it_away(
    gateway: Running, tmp_path: Path, small: Upstream, large: Upstream
) -> None:
    gateway.system.swap(settings_for(tmp_path, small.url, large.url, WEIGHED))
    quality = gateway.system.revisions.current.quality
    assert quality is not None
    assert quality("What is the capital of France?", "knowledge").keys() == {"s", "l"}
    gateway.system.swap(gateway.settings)
    assert gateway.system.revisions.current.quality is None
