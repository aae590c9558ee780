import io
from pathlib import Path

import pytest
from rich.console import Console

from headrace.gateway.settings.load import load
from headrace.gateway.settings.tree import Settings
from headrace.models.store.progress import Progress
from headrace.models.store.store import Store
from headrace.setup.display import Lines
from headrace.setup.readying import Readying, _show

LARGE = "qwen2.5-coder-1.5b-instruct-int8"


@pytest.fixture
def settings() -> Settings:
    return load(environ={})


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def lines(out: io.StringIO) -> Lines:
    return Lines(Console(file=out, width=120))


def test_the_default_config_wants_its_engines_and_its_embedder_largest_first(
    settings: Settings, tmp_path: Path
) -> None:
    missing = Readying(settings, Store(tmp_path))._missing_models()
    assert missing == [LARGE, "smollm2-135m-instruct-int8", "all-minilm-l6-v2"]


def test_a_model_that_is_published_is_not_made_again(settings: Settings, tmp_path: Path) -> None:
    published = tmp_path / "sha256/0000"
    published.mkdir(parents=True)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / LARGE).symlink_to(published)
    assert LARGE not in Readying(settings, Store(tmp_path))._missing_models()


def test_a_config_of_urls_needs_no_engine_environment(tmp_path: Path, lines: Lines, out: io.StringIO) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "version: 1\n"
        "backends: {b: {urls: ['http://127.0.0.1:9/v1'], model: m, capabilities: [stream], context_tokens: 4096,\n"
        "  price: {input_usd_per_mtok: 0.1, output_usd_per_mtok: 0.1}}}\n"
        "tiers: [{id: small, default: b}]\n"
        "virtual_models: {headrace/auto: {select: [{id: default, use: small}]}}\n"
    )
    readying = Readying(load(config, environ={}), Store(tmp_path / "home"))
    assert readying.check() == []
    readying.run(lines)
    assert out.getvalue() == ""


def test_progress_in_bytes_is_shown_in_megabytes_and_other_work_by_its_name(lines: Lines, out: io.StringIO) -> None:
    _show(lines, "fetch a", Progress("a", "fetch", 1_000_000, 4_000_000))
    _show(lines, "import a", Progress("a", "measure", 10, 40))
    assert out.getvalue().splitlines() == ["fetch a: fetch 1 of 4 MB (25%)", "import a: measure (25%)"]
