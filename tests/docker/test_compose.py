import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from headrace.gateway.settings.load import load, packaged
from headrace.models.catalog.catalogue import Catalogue

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker/compose.yaml"
CASCADE = ROOT / "docker/cascade.yaml"
ENVIRONMENT = {"ENGINE_API_KEY": "k", "HEADRACE_API_KEYS": "a-key-of-a-decent-length-1234567890"}


@pytest.fixture
def services() -> dict[str, Any]:
    found = yaml.safe_load(COMPOSE.read_text())["services"]
    assert isinstance(found, dict)
    return found


def test_the_compose_file_follows_the_specification() -> None:
    checker = Path(sys.executable).parent / "check-jsonschema"
    result = subprocess.run(
        [checker, "--builtin-schema", "vendor.compose-spec", COMPOSE], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


def test_every_dockerfile_it_names_exists(services: dict[str, Any]) -> None:
    for service in services.values():
        assert (ROOT / service["build"]["dockerfile"]).is_file()


def test_no_secret_has_a_default(services: dict[str, Any]) -> None:
    assert services["gateway"]["environment"]["HEADRACE_API_KEYS"].startswith("${HEADRACE_API_KEYS:?")
    assert services["engine-small"]["environment"]["VLLM_API_KEY"].startswith("${ENGINE_API_KEY:?")


def test_engines_share_a_network_without_a_way_out() -> None:
    document = yaml.safe_load(COMPOSE.read_text())
    assert document["networks"]["engines"] == {"internal": True}
    assert all(document["services"][name]["networks"] == ["engines"] for name in ("engine-small", "engine-large"))


def test_the_cascade_asks_the_engines_that_compose_starts(services: dict[str, Any]) -> None:
    settings = load(CASCADE, environ=ENVIRONMENT)
    asked = {(backend.urls[0].split("//")[1].split(":")[0], backend.model) for backend in settings.urls}
    started = {(name, service["command"][1]) for name, service in services.items() if name.startswith("engine-")}
    assert asked == started


def test_each_engine_gets_the_flags_that_the_catalogue_asks_for(services: dict[str, Any]) -> None:
    catalogue = Catalogue.packaged()
    for name in ("engine-small", "engine-large"):
        _, model, *flags = services[name]["command"]
        assert tuple(flags) == catalogue.get(model).engine_args


def test_the_models_container_prepares_every_model(services: dict[str, Any]) -> None:
    settings = load(CASCADE, environ=ENVIRONMENT)
    wanted = {backend.model for backend in settings.urls} | {settings.embeddings}
    assert set(services["models"]["command"][1:]) == wanted


def test_the_cascade_is_the_packaged_default_but_for_its_backends() -> None:
    ours, default = (yaml.safe_load(path.read_text()) for path in (CASCADE, packaged()))
    for key in ("virtual_models", "aliases", "embeddings"):
        assert ours[key] == default[key]
    without_backend = [
        [{key: value for key, value in tier.items() if key != "default"} for tier in config["tiers"]]
        for config in (ours, default)
    ]
    assert without_backend[0] == without_backend[1]
