from pathlib import Path

import aiohttp
import pytest

from headrace.contracts.errors import ConfigError
from headrace.gateway.settings.load import load
from headrace.gateway.wiring.processes import host_now, is_needed, launch
from headrace.models.backends.supervisor import Supervisor
from tests.support.gateway import CONFIG, settings_for


def test_urls_alone_need_no_process(tmp_path: Path) -> None:
    assert not is_needed(settings_for(tmp_path, "http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1", CONFIG))
    assert is_needed(load(None, environ={"HEADRACE_HOME": str(tmp_path)}))


def test_the_host_has_cores_and_memory() -> None:
    host = host_now()
    assert host.cores >= 1
    assert host.memory_bytes > 0


async def test_an_engine_without_its_environment_is_told_with_the_cure(tmp_path: Path) -> None:
    settings = load(None, environ={"HEADRACE_HOME": str(tmp_path)})
    async with aiohttp.ClientSession() as session, Supervisor(tmp_path / "run") as supervisor:
        with pytest.raises(ConfigError, match="HEADRACE_ENGINE_PYTHON"):
            launch(settings, supervisor, session, engine_python=None)
