import json
import re
import sys
from pathlib import Path

import pytest

from headrace import cli
from tests.support.replaying import lined, traffic

CONFIG = """\
version: 1
backends:
  small-model: {urls: ["http://127.0.0.1:9/v1"], model: small-model, capabilities: [stream, tools, json_schema],
      context_tokens: 4096, price: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}}
  large-model: {urls: ["http://127.0.0.1:9/v1"], model: large-model, capabilities: [stream, tools, json_schema],
      context_tokens: 4096, price: {input_usd_per_mtok: 10, output_usd_per_mtok: 20}}
tiers: [{id: small, default: small-model}, {id: large, default: large-model}]
virtual_models:
  headrace/auto:
    select:
      - {id: hard, when: {difficulty: {gt: BAR}}, use: large}
      - {id: default, use: small}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "new.yaml"
    file.write_text(CONFIG.replace("BAR", "0.3"))
    return file


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    folder = tmp_path / "ledger"
    folder.mkdir()
    logged = traffic(lined(0.6, epsilon=0.3), 300)
    whole = b"".join(logged.lines)
    (folder / "ledger-20261122-000000.jsonl").write_bytes(whole + b'{"v":1,"decision":"dec_x"}\n' + whole[:80])
    scores = (json.dumps({"decision": name, "score": score}) for name, score in logged.scores.items())
    (tmp_path / "scores.jsonl").write_text("\n".join(scores) + "\n")
    return folder


def replay(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["headrace", "replay", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_the_report_tells_changes_worth_overlap_and_what_was_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ledger: Path, config: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "220")
    code = replay(monkeypatch, "--ledger", ledger, "--policy", config, "--outcomes", ledger.parent / "scores.jsonl")
    out = capsys.readouterr().out
    assert code == 0
    assert "300 requests decided again" in out
    assert "torn lines, left out: 1" in out
    assert "ledger-20261122-000000.jsonl:301: Object missing required field" in out
    assert all(word in out for word in ("SNIPS", "doubly robust", "quality", "dec_000000", "effective sample size"))


def test_decision_ids_are_whole_on_a_narrow_screen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ledger: Path, config: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert replay(monkeypatch, "--ledger", ledger, "--policy", config) == 0
    assert re.search(r"\bdec_[0-9a-f]{32}\b", capsys.readouterr().out)


def test_what_only_the_model_says_is_marked_and_warned_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, config: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "220")
    file = tmp_path / "fixed.jsonl"
    file.write_bytes(b"".join(traffic(lined(0.6), 200).lines))
    assert replay(monkeypatch, "--ledger", file, "--policy", config) == 0
    out = capsys.readouterr().out
    assert "no support" in out
    assert "% model only" in out
    assert "warning: no support for" in out


def test_an_empty_ledger_has_nothing_to_tell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, config: Path
) -> None:
    file = tmp_path / "empty.jsonl"
    file.touch()
    assert replay(monkeypatch, "--ledger", file, "--policy", config) == 0
    assert capsys.readouterr().out.startswith("0 requests decided again")


def test_json_is_one_document_and_a_file_is_a_ledger_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ledger: Path, config: Path
) -> None:
    (file,) = ledger.iterdir()
    assert replay(monkeypatch, "--ledger", file, "--policy", config, "--json", "--examples", 1) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["requests"] == 300
    assert report["unused"]["torn"] == report["unused"]["faulty"] == 1
    assert set(report["worth"]) == {"cost", "latency"}
    assert all(len(move["examples"]) == 1 for move in report["moves"])


def test_a_breach_is_one_line_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ledger: Path, config: Path
) -> None:
    bars = ("--fail-if", "cost>+5%", "--fail-if", "changed>99%")
    assert replay(monkeypatch, "--ledger", ledger, "--policy", config, *bars) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "cost>+5%: +" in err
    assert "changed" not in err


def test_a_kept_bar_is_exit_code_0(monkeypatch: pytest.MonkeyPatch, ledger: Path, config: Path) -> None:
    assert replay(monkeypatch, "--ledger", ledger, "--policy", config, "--fail-if", "cost>+500%") == 0


@pytest.mark.parametrize(
    "mistake",
    [
        "--fail-if costs>5% | is no bar; write metric",
        "--fail-if quality<-2% | pass --outcomes",
        "--outcomes nowhere.jsonl | nowhere.jsonl: no such file",
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ledger: Path,
    config: Path,
    mistake: str,
) -> None:
    options, words = mistake.split(" | ")
    assert replay(monkeypatch, "--ledger", ledger, "--policy", config, *options.split()) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_a_folder_without_a_ledger_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, config: Path
) -> None:
    assert replay(monkeypatch, "--ledger", tmp_path, "--policy", config) == 2
    assert "no ledger file in this folder" in capsys.readouterr().err


def test_outcomes_that_lack_a_field_name_their_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ledger: Path, config: Path
) -> None:
    bad = ledger.parent / "bad.jsonl"
    bad.write_text('{"decision": "dec_1", "score": 1}\n{"decision": "dec_2"}\n')
    assert replay(monkeypatch, "--ledger", ledger, "--policy", config, "--outcomes", bad) == 2
    assert "bad.jsonl:2: " in capsys.readouterr().err
