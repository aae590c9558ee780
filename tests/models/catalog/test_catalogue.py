from decimal import Decimal
from pathlib import Path

import pytest

from headrace.contracts.errors import ConfigError, StoreError
from headrace.models.catalog.catalogue import Catalogue
from headrace.models.catalog.entry import PypiSource

REFERENCE = """schema: 1
id: tiny
kind: reference
family: f
parameters: 10
license: Apache-2.0
context_tokens: 8
capabilities: []
files:
  - path: model.gguf
    sha256: {sha}
    bytes: 7
    sources:
      - hf: {{repository: a/b, revision: {commit}, file: m.gguf}}
      - pypi:
          - {{package: one==1.0, wheel_sha256: {sha}, wheel_bytes: 9, member: one/p1.bin, bytes: 3}}
          - {{package: two==1.0, wheel_sha256: {sha}, wheel_bytes: 9, member: two/p2.bin, bytes: 4}}
""".format(sha="a" * 64, commit="b" * 40)
SERVED = """schema: 1
id: tiny-int8
kind: compressed
family: f
parameters: 10
license: Apache-2.0
context_tokens: 8
capabilities: [stream, tools]
price: {input_usd_per_mtok: 0.1, output_usd_per_mtok: 0.2}
base: tiny
recipe: {form: int8, tied: true}
gate: {max_kl_nats: 0.05, min_top1: 0.9}
served_bytes: 10
"""


def load(folder: Path, reference: str = REFERENCE, served: str = SERVED) -> Catalogue:
    (folder / "tiny.yaml").write_text(reference)
    (folder / "tiny-int8.yaml").write_text(served)
    return Catalogue.load(folder)


def test_a_pair_of_entries_is_read_whole(tmp_path: Path) -> None:
    catalogue = load(tmp_path)
    assert catalogue.ids() == ("tiny", "tiny-int8")
    served = catalogue.get("tiny-int8")
    assert catalogue.reference_of(served) is catalogue.get("tiny")
    assert served.card.price.output_usd_per_mtok == Decimal("0.2")
    assert served.card.capabilities == {"stream", "tools"}
    source = catalogue.get("tiny").files[0].sources[1]
    assert isinstance(source, PypiSource)
    assert source.parts[0].requirement == f"one==1.0 --hash=sha256:{'a' * 64}"


def test_the_packaged_catalogue_serves_the_default_models_under_free_licences() -> None:
    catalogue = Catalogue.packaged()
    served = {i for i in catalogue.ids() if catalogue.get(i).is_served}
    assert {"smollm2-135m-instruct-int8", "qwen2.5-coder-1.5b-instruct-int8", "all-minilm-l6-v2"} <= served
    assert {catalogue.get(i).license for i in catalogue.ids()} == {"Apache-2.0"}


def test_every_packaged_reference_can_come_from_a_package_index() -> None:
    catalogue = Catalogue.packaged()
    for entry in (catalogue.get(i) for i in catalogue.ids()):
        for file in entry.files:
            assert any(isinstance(source, PypiSource) for source in file.sources)


def test_an_unknown_id_is_answered_with_the_nearest() -> None:
    with pytest.raises(StoreError, match="did you mean 'smollm2-135m-instruct'"):
        Catalogue.packaged().get("smollm2-135m")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("family: f", "famly: f", r"tiny\.yaml:4: unknown key 'famly'; did you mean 'family'"),
        ("parameters: 10", "parameters: -1", r"tiny\.yaml:5: '-1' is not a whole number"),
        ("id: tiny", "id: other", r"tiny\.yaml:2: id 'other' must be the file's name"),
        ("schema: 1", "schema: 2", r"tiny\.yaml:1: schema 1 is the only one"),
        ("kind: reference", "kind: referense", "did you mean 'reference'"),
        ("b" * 40, "main", "must be a commit"),
        ("bytes: 4", "bytes: 5", "the parts hold 8 bytes, the file 7"),
        ("one/p1.bin", "one/../../p1.bin", r"without \.\."),
        ("one==1.0", "one", "must read package==version"),
        ("a" * 64, "A" * 64, "is not a sha256"),
        ("path: model.gguf", "path: model.bin", "plain name ending"),
        ("license: Apache-2.0\n", "", "key 'license' is missing"),
    ],
)
def test_a_wrong_reference_is_refused_at_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, reference=REFERENCE.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("base: tiny", "base: tinny", "'tinny' is no reference of this catalogue; did you mean 'tiny'"),
        ("[stream, tools]", "[streams]", "did you mean 'stream'"),
        ("gate: {max_kl_nats: 0.05, min_top1: 0.9}\n", "", "a compressed entry needs 'gate'"),
        ("min_top1: 0.9", "min_top1: 90", "1 is the most"),
        ("form: int8", "form: int4", "'int4' is not known"),
        ("output_usd_per_mtok: 0.2", "output_usd_per_mtok: free", "'free' is not a number"),
    ],
)
def test_a_wrong_served_form_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, served=SERVED.replace(old, new))
