import json
from pathlib import Path

import jsonschema_rs
import pytest

from headrace.gateway.settings.document import parse
from headrace.gateway.settings.edge import json_schema
from headrace.gateway.settings.load import packaged
from tests.support.config import SAMPLE

PUBLISHED = Path(__file__).parents[3] / "docs" / "config.schema.json"


def test_the_published_schema_is_in_step() -> None:
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == json_schema()


@pytest.mark.parametrize("name", ["default", "three-tier", "strategies", "urls-example"])
def test_the_packaged_configs_hold_to_the_schema(name: str) -> None:
    path = packaged(name)
    document = parse(path.read_text(encoding="utf-8"), path, {})
    jsonschema_rs.validator_for(json_schema()).validate(document.value)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("port: 8080", "prot: 1"),
        ("{gt: 3000}", "{over: 1}"),
        ("then: [large]", "then: large"),
        ("version: 1", "version: 3"),
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(old: str, new: str) -> None:
    document = parse(SAMPLE.replace(old, new, 1), Path("a.yaml"), {"CLOUD_KEY": "x"})
    assert not jsonschema_rs.validator_for(json_schema()).is_valid(document.value)
