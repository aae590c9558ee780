import io
import json
from pathlib import Path

import pytest

from headrace.cli.validate import app
from headrace.contracts.errors import ConfigError
from headrace.gateway.auth import Authenticator, load_secret
from headrace.gateway.settings.document import parse
from headrace.gateway.settings.edge import json_schema
from headrace.gateway.settings.keys import build_keys
from headrace.gateway.settings.load import packaged


def run(*args: str) -> int:
    try:
        app(args=list(args), prog_name="headrace validate")
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else 0
    return 0


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "home"))
    for name in ("HEADRACE_PORT", "HEADRACE_HOST", "HEADRACE_API_KEYS", "HEADRACE_SECRET"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_file_the_packaged_default_is_ok(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    out = capsys.readouterr().out
    assert out.startswith("OK default.yaml revision ")
    assert "headrace/auto: 7 rules, also gpt-4o-mini" in out


@pytest.mark.parametrize("name", ["default", "three-tier", "strategies", "urls-example"])
def test_every_packaged_config_is_ok_with_the_packaged_catalogue(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(packaged(name)), "--json") == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


def test_problems_come_one_a_line_and_the_exit_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(packaged().read_text().replace("headrace/large", "headrace/larg").replace("port:", "prot:"))
    assert run(str(path)) == 2
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"{path}:") for line in lines)


def test_problems_come_as_json_for_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("version: 1\n")
    assert run(str(path), "--json") == 2
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert {"file", "line", "column", "path", "what", "cure"} == set(told["problems"][0])


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--schema") == 0
    assert json.loads(capsys.readouterr().out) == json_schema()


def test_a_new_key_is_shown_once_and_its_entry_opens_the_door(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--new-key") == 0
    told = capsys.readouterr()
    key = told.err.strip().removeprefix("key (shown once): ")
    assert key not in told.out
    document = parse(f"version: 1\nkeys:\n  {told.out}", tmp_path / "keys.yaml", {})
    entries = build_keys(document, lambda *_, **__: pytest.fail("the entry is no entry"))
    found = Authenticator(load_secret(tmp_path / "home", {}), entries)
    assert found.authenticate([(b"authorization", f"Bearer {key}".encode())]).key_id == "my-key"


def test_a_key_of_ones_own_is_hashed_from_stdin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a-key-of-my-own-making\n"))
    assert run("--hash-key") == 0
    assert "hmac-sha256:" in capsys.readouterr().out


def test_a_short_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    with pytest.raises(ConfigError, match="16 or more"):
        run("--hash-key")
