"""One pair of real engines behind one gateway for the whole session, started as a user starts it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from openai import OpenAI

from headrace.gateway.settings.load import packaged
from headrace.models.store.store import Store
from tests.support.serving import ROOT, Served, wait_until

SMALL, LARGE = "smollm2-135m-instruct-int8", "qwen2.5-coder-1.5b-instruct-int8"
START_S = 600.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    why = _missing()
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.engine)
            if why:
                item.add_marker(pytest.mark.skip(reason=why))


def _missing() -> str:
    """Say what real engines need and this machine lacks; "" when nothing."""
    if not (ROOT / ".venv-engine" / "bin" / "python").exists():
        return "no engine environment; make setup builds it"
    store = Store()
    embedder = default_config()["embeddings"]["model"]
    absent = [model for model in (SMALL, LARGE, embedder) if not store.has(model)]
    return f"models not in the store: {', '.join(absent)}; make setup fetches them" if absent else ""


def default_config() -> dict[str, Any]:
    """Return the packaged default config as plain data."""
    value: dict[str, Any] = yaml.safe_load(packaged("default").read_text())
    return value


def with_probes(config: dict[str, Any]) -> dict[str, Any]:
    """Add virtual models that start on the small tier and differ only in how its answers are judged."""

    def judged(max_risk: float, **probe: Any) -> dict[str, Any]:
        low = {"probe": probe, "max_risk": max_risk, "then": ["large"]}
        return {"select": [{"id": "always-small", "use": "small"}], "on_low_confidence": low}

    models = {
        "e2e/lenient": judged(0.999, tokens=8, s=5.0),
        "e2e/strict": judged(0.001, tokens=8, s=5.0),
        "e2e/bound": judged(0.5, tokens=4096, s=0.1, on_uncertain="commit"),
        "e2e/early": judged(0.999, tokens=4096, s=30.0),
    }
    return {**config, "virtual_models": {**config["virtual_models"], **models}}


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(with_probes(default_config()), tmp_path_factory.mktemp("headrace")) as gateway:
        wait_until(gateway.is_ready, within_s=START_S, what="the default cascade is ready")
        yield gateway


@pytest.fixture(scope="session")
def client(served: Served) -> Iterator[OpenAI]:
    with served.client() as client:
        yield client
