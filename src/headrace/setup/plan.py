"""What a config still needs before it can serve: which models to make ready, in which order, and how much room."""

from collections.abc import Sequence
from typing import Final

from headrace.contracts.errors import EngineError
from headrace.models.backends.resources import EngineNeed, Host, plan_resources
from headrace.models.catalog.catalogue import Catalogue
from headrace.setup.preflight import ENVIRONMENT_BYTES, Needs

SPARE: Final = 1.1


def wanted_models(catalogue: Catalogue, models: Sequence[str]) -> list[str]:
    """Return the models of a config without repeats, the largest first: it takes longest and starts last."""
    return sorted(set(models), key=lambda model: (-catalogue.get(model).served_bytes, model))


def room_for(catalogue: Catalogue, missing: Sequence[str], *, builds_environment: bool, compiles: bool) -> Needs:
    """Say what is needed on disk: the carrier and the file of each reference, and the form made from it."""
    size = 0
    for model in missing:
        entry = catalogue.get(model)
        size += entry.served_bytes + 2 * sum(file.size_bytes for file in catalogue.reference_of(entry).files)
    return Needs(
        environment_bytes=ENVIRONMENT_BYTES if builds_environment else 0,
        store_bytes=round(size * SPARE),
        compiles=compiles,
    )


def check_memory(catalogue: Catalogue, models: Sequence[str], *, cores: int, memory_bytes: int, gpus: int) -> None:
    """Raise before anything is built if the engines could not live side by side."""
    needs = [EngineNeed(model, catalogue.get(model).served_bytes) for model in models]
    try:
        plan_resources(Host(cores=cores, memory_bytes=memory_bytes, gpus=gpus), needs)
    except EngineError as exc:
        raise EngineError(f"not enough memory: {exc.message}") from exc
