import sys

from headrace.gateway.wiring.system import load_artefacts
from tests.support.gateway import Running


async def test_the_gateway_process_has_no_engine_library_in_it(gateway: Running) -> None:
    assert await gateway.is_healthy()
    assert not {"torch", "vllm", "transformers"} & sys.modules.keys()


def test_the_artefacts_are_named_by_their_hashes() -> None:
    assert len(load_artefacts().hashes["difficulty"]) == 64
