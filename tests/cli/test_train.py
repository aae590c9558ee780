import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from headrace.cli.train import train_
from headrace.contracts.errors import ConfigError
from headrace.router.difficulty.model import load
from headrace.router.explaining.nearest import FOLDER
from headrace.router.explaining.nearest import load as load_index
from headrace.router.quality.model import load as load_quality
from headrace.router.training.assemble import SMALL as PACKAGED_SMALL
from headrace.router.training.table import write_table
from tests.router.training.conftest import data as data  # noqa: PLC0414  (a fixture)
from tests.router.training.test_assemble import entry
from tests.support.heard import ARTEFACT, SMALL, World, said

RUNNER = CliRunner()
APP = typer.Typer()
APP.command()(train_)


def run(*args: str) -> str:
    result = RUNNER.invoke(APP, list(args), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def trained(data: Path, tmp_path: Path) -> tuple[str, ...]:
    """Return the options of a training on the small copy of the shared data."""
    assert data
    write_table(tmp_path / "table", [entry(small=False, large=True)])
    return "--out", str(tmp_path / "out"), "--table", str(tmp_path / "table")


def ledger(path: Path, world: World, sha256: str, *more: bytes) -> str:
    lines = [text.replace(ARTEFACT.encode(), sha256.encode()) for text in world.lines()]
    path.write_bytes(b"".join([*lines, *more]))
    return str(path)


def test_training_writes_the_model_and_what_explains_it(trained: tuple[str, ...], tmp_path: Path) -> None:
    assert "questions to explain with" in run(*trained)
    assert load(tmp_path / "out").domains
    assert load_index(tmp_path / "out" / FOLDER) is not None


def test_a_biased_tier_is_corrected_and_the_figures_are_told(trained: tuple[str, ...], tmp_path: Path) -> None:
    run(*trained)
    sha256 = load(tmp_path / "out").sha256
    lines = ledger(
        tmp_path / "l.jsonl",
        World({"code": 1.5}, share=1.0),
        sha256,
        said("dec_gone", 1.0),
        b'{"v":1,"decision":"d"}\n',
        b'{"v":',
    )
    told = run(*trained, "--ledger", lines, "--small", SMALL)
    assert "1 torn lines skipped" in told
    assert "l.jsonl:" in told
    assert "1 left out: of no decision in the ledger" in told
    assert "of another model than" in told
    assert "small-model, code: +1." in told
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert card["feedback"]["change"]["high"] < 0
    assert load(tmp_path / "out").sha256 != sha256


def test_noise_leaves_the_artefact_as_trained(trained: tuple[str, ...], tmp_path: Path) -> None:
    run(*trained)
    sha256 = load(tmp_path / "out").sha256
    told = run(*trained, "--ledger", ledger(tmp_path / "l.jsonl", World(), sha256), "--small", SMALL)
    assert "no better than doing nothing" in told
    assert load(tmp_path / "out").sha256 == sha256


def test_several_ledgers_are_read_together_and_too_few_answers_are_told(
    trained: tuple[str, ...], tmp_path: Path
) -> None:
    run(*trained)
    sha256 = load(tmp_path / "out").sha256
    one, other = (ledger(tmp_path / f"{name}.jsonl", World(requests=20), sha256) for name in "ab")
    told = run(*trained, "--ledger", one, "--ledger", other, "--small", SMALL)
    assert "too few to learn from" in told


def test_the_packaged_small_tier_is_the_one_that_tells_unless_another_is_named(
    trained: tuple[str, ...], tmp_path: Path
) -> None:
    run(*trained)
    lines = ledger(tmp_path / "l.jsonl", World(requests=200), load(tmp_path / "out").sha256)
    assert PACKAGED_SMALL != SMALL
    assert "of another model than" in run(*trained, "--ledger", lines)


def test_feedback_teaches_the_quality_model_by_model_and_domain(trained: tuple[str, ...], tmp_path: Path) -> None:
    run(*trained, "--model", "quality")
    plain = load_quality(tmp_path / "out")
    lines = ledger(tmp_path / "l.jsonl", World({"code": 1.5}, share=1.0), plain.sha256)
    told = run(*trained, "--model", "quality", "--ledger", lines)
    assert "small-model, code: -1." in told
    taught = load_quality(tmp_path / "out")
    assert taught.sha256 != plain.sha256
    assert taught.offsets["small-model"]["code"] < -1


def test_a_ledger_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        run("--out", str(tmp_path), "--ledger", str(tmp_path / "none.jsonl"))
