import re
from pathlib import Path

from headrace.gateway.settings.document import parse
from headrace.gateway.settings.edge import ConfigEdge, json_schema
from headrace.gateway.settings.edge_strategies import STRATEGIES
from headrace.gateway.settings.explain import known_keys
from headrace.gateway.settings.keys import build_keys
from headrace.gateway.settings.strategies import parse_use
from tests.support.config import load_text

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_shortest_config_of_the_page_loads(tmp_path: Path) -> None:
    assert load_text(tmp_path, BLOCKS[0]).policy.tiers[0].id == "only"


def test_the_keys_file_of_the_page_is_read() -> None:
    problems: list[str] = []
    document = parse(BLOCKS[1], Path("keys.yaml"), {})
    (entry,) = build_keys(document, lambda _, what, cure, at_key=False: problems.append(f"{what}{cure}{at_key}"))
    assert (entry.id, problems) == ("alice", [])


def test_every_strategy_of_the_page_is_read() -> None:
    shown = re.findall(r"^\| `(\{strategy: .*?\})` \|", PAGE, flags=re.MULTILINE)
    problems: list[str] = []
    for text in shown:
        use = parse(f"use: {text}", Path("a.yaml"), {}).value["use"]
        assert parse_use(use, ("use",), lambda _, what, cure, at_key=False: problems.append(f"{what}{cure}{at_key}"))
    assert (len(shown), problems) == (len(STRATEGIES), [])


def test_every_section_and_key_of_a_config_is_on_the_page() -> None:
    schema = json_schema()
    for section in ConfigEdge.model_fields:
        assert f"`{section}" in PAGE, section
    for path in (
        ("server",),
        ("backends", "x"),
        ("tiers", 0),
        ("ledger",),
        ("telemetry",),
        ("retrieval",),
        ("virtual_models", "x"),
    ):
        for key in known_keys(schema, path):
            assert f"`{key}" in PAGE, (path, key)
