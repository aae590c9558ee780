import stat
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from headrace.contracts.errors import StoreError
from headrace.contracts.models import Price
from headrace.models.catalog.catalogue import Catalogue
from headrace.models.catalog.entry import CatalogEntry, Gate, RecipeSpec
from headrace.models.store.fetching import Fetcher
from headrace.models.store.hub import Hub
from headrace.models.store.importing import Importer, check_gate
from headrace.models.store.progress import Progress
from headrace.models.store.store import Store
from tests.support.wheel_index import Index, MakeCatalogue

MakeImporter = Callable[..., Importer]
BUILD = """#!{python}
import json, pathlib, sys
request = json.load(sys.stdin)
folder = pathlib.Path(request["folder"])
(folder / "model.safetensors").write_bytes(b"w")
print("noise of a library")
print(json.dumps({{"step": "import", "done": 1, "total": 2}}))
result = {{"parameters": 1, "weights_sha256": "{digest}"}}
if request["measure"]:
    result["measured"] = {{"kl_nats": {kl}, "top1": 0.95}}
print(json.dumps({{"{outcome}": result}}))
"""


@pytest.fixture
def importer(store: Store, index: Index, make_catalogue: MakeCatalogue, dead_hub: Hub, tmp_path: Path) -> MakeImporter:
    reference = make_catalogue([index.add("carrier", "carrier/p.bin", b"GGUF")], b"GGUF").get("tiny")

    def make(*, kl: float = 0.01, digest: str = "known", outcome: str = "result") -> Importer:
        script = tmp_path / "engine-python"
        script.write_text(BUILD.format(python=sys.executable, kl=kl, digest=digest, outcome=outcome))
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        served = CatalogEntry(
            "tiny-int8", "compressed", "f", 1, "Apache-2.0", 8, frozenset(), Price(Decimal(0), Decimal(0)), base="tiny",
            recipe=RecipeSpec("int8", tied=True), gate=Gate(0.05, 0.9), served_bytes=1,
            measured={"weights_sha256": "known"},
        )  # fmt: skip
        catalogue = Catalogue([reference, served])
        return Importer(store, catalogue, Fetcher(store, catalogue, dead_hub), script)

    return make


def test_a_form_is_built_from_its_fetched_reference_and_published(importer: MakeImporter, store: Store) -> None:
    told: list[Progress] = []
    path = importer().import_model("tiny-int8", told.append)
    assert path == store.path("tiny-int8")
    assert store.has("tiny")
    assert Progress("tiny-int8", "import", 1, 2) in told
    assert "measured" not in store.describe("tiny-int8").facts


def test_weights_the_figures_do_not_stand_for_are_measured(importer: MakeImporter, store: Store) -> None:
    importer(digest="other").import_model("tiny-int8")
    assert store.describe("tiny-int8").facts["measured"]["kl_nats"] == 0.01


def test_a_form_that_misses_its_gate_is_not_published(importer: MakeImporter, store: Store) -> None:
    with pytest.raises(StoreError, match=r"misses its gate and is not served: KL 0\.0900"):
        importer(digest="other", kl=0.09).import_model("tiny-int8")
    assert not store.has("tiny-int8")


def test_the_plain_form_has_a_name_of_its_own(importer: MakeImporter, store: Store) -> None:
    importer().import_model("tiny-int8", form="bf16")
    assert store.has("tiny-bf16")
    assert not store.has("tiny-int8")


def test_a_second_import_does_no_work(importer: MakeImporter) -> None:
    first = importer().import_model("tiny-int8")
    told: list[Progress] = []
    assert importer(outcome="error").import_model("tiny-int8", told.append) == first
    assert told == []


def test_a_failed_build_is_one_line_with_its_log(importer: MakeImporter, store: Store) -> None:
    with pytest.raises(StoreError, match=r"importing tiny-int8 failed: .*log: "):
        importer(outcome="error").import_model("tiny-int8")
    assert not store.has("tiny-int8")


def test_a_missing_engine_environment_names_the_cure(importer: MakeImporter, tmp_path: Path) -> None:
    made = importer()
    (tmp_path / "engine-python").unlink()
    with pytest.raises(StoreError, match="run: make setup"):
        made.import_model("tiny-int8")


def test_a_reference_has_no_form_of_its_own(importer: MakeImporter) -> None:
    with pytest.raises(StoreError, match="name a served model"):
        importer().import_model("tiny")


def test_a_gate_takes_its_very_bounds_and_refuses_what_is_no_number() -> None:
    gate = Gate(0.05, 0.9)
    check_gate("x", gate, {"kl_nats": 0.05, "top1": 0.9})
    with pytest.raises(StoreError, match="misses"):
        check_gate("x", gate, {"kl_nats": float("nan"), "top1": 1.0})
