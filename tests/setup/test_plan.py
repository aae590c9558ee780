import pytest

from headrace.contracts.errors import EngineError
from headrace.models.catalog.catalogue import Catalogue
from headrace.setup import plan
from headrace.setup.preflight import ENVIRONMENT_BYTES

SMALL = "smollm2-135m-instruct-int8"
LARGE = "qwen2.5-coder-1.5b-instruct-int8"
CATALOGUE = Catalogue.packaged()


def test_the_largest_model_comes_first_and_none_twice() -> None:
    assert plan.wanted_models(CATALOGUE, [SMALL, LARGE, SMALL]) == [LARGE, SMALL]


def test_room_is_asked_for_the_carrier_the_file_and_the_form() -> None:
    needs = plan.room_for(CATALOGUE, [LARGE], builds_environment=False, compiles=False)
    entry = CATALOGUE.get(LARGE)
    file = sum(file.size_bytes for file in CATALOGUE.reference_of(entry).files)
    assert needs.store_bytes > 2 * file + entry.served_bytes
    assert needs.environment_bytes == 0


def test_what_is_there_asks_for_no_room() -> None:
    assert plan.room_for(CATALOGUE, [], builds_environment=False, compiles=False).store_bytes == 0


def test_an_environment_to_build_asks_for_its_own_room() -> None:
    needs = plan.room_for(CATALOGUE, [], builds_environment=True, compiles=True)
    assert (needs.environment_bytes, needs.compiles) == (ENVIRONMENT_BYTES, True)


def test_a_machine_with_too_little_memory_is_told_before_anything_is_built() -> None:
    with pytest.raises(EngineError, match=r"not enough memory.*GiB"):
        plan.check_memory(CATALOGUE, [SMALL, LARGE], cores=2, memory_bytes=4 << 30, gpus=0)
    plan.check_memory(CATALOGUE, [SMALL, LARGE], cores=2, memory_bytes=20 << 30, gpus=0)
