import json
from pathlib import Path

import pytest

from headrace.cli.models import app
from headrace.contracts.errors import StoreError
from headrace.models.store.progress import ignore
from headrace.models.store.store import HOME_VARIABLE, Store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    made = Store()
    with made.scratch("smollm2-135m-instruct-int8") as scratch:
        staged = scratch / "staged"
        staged.mkdir()
        (staged / "model.safetensors").write_bytes(b"w")
        made.publish("smollm2-135m-instruct-int8", staged, facts={"form": "int8"}, on_progress=ignore)
    return made


def run(*args: str) -> None:
    app(args=list(args), prog_name="headrace models", standalone_mode=False)


def test_list_shows_the_catalogue_and_what_is_here(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    run("list", "--json")
    rows = {row["id"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["smollm2-135m-instruct-int8"]["path"] == str(store.path("smollm2-135m-instruct-int8"))
    assert not rows["all-minilm-l6-v2"]["is_here"]


def test_list_is_a_table_for_people(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert store.installed()
    run("list")
    assert "licence" in capsys.readouterr().out


def test_path_prints_the_folder_alone(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    run("path", "smollm2-135m-instruct-int8")
    assert capsys.readouterr().out.strip() == str(store.path("smollm2-135m-instruct-int8"))


def test_verify_checks_everything_that_is_here(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    run("verify", "--json")
    assert [row["is_whole"] for row in json.loads(capsys.readouterr().out)] == [True]
    (store.path("smollm2-135m-instruct-int8") / "model.safetensors").write_bytes(b"x")
    with pytest.raises(StoreError, match="has sha256"):
        run("verify")


def test_rm_frees_the_bytes(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    run("rm", "smollm2-135m-instruct-int8", "--json")
    assert json.loads(capsys.readouterr().out) == [{"id": "smollm2-135m-instruct-int8", "freed_bytes": 1}]
    assert store.installed() == ()


def test_an_unknown_model_reaches_the_command_line_as_one_line(store: Store) -> None:
    assert store.installed()
    with pytest.raises(StoreError, match="did you mean 'all-minilm-l6-v2'"):
        run("fetch", "all-minilm-l6")


def test_import_without_an_engine_environment_names_the_cure(store: Store, tmp_path: Path) -> None:
    assert store.installed()
    with pytest.raises(StoreError, match="run: make setup"):
        run("import", "all-minilm-l6-v2", "--engine-python", str(tmp_path / "none"))
