import importlib
import sys

import pytest

import headrace
from headrace import cli


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["headrace", *arguments])
    try:
        cli.main()
    except SystemExit as exc:
        return int(exc.code or 0)
    return 0


@pytest.mark.parametrize("arguments", [(), ("--help",), ("help",)])
def test_help_lists_every_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert call(monkeypatch, *arguments) == 0
    out = capsys.readouterr().out
    assert all(f"  {name}" in out for name in cli.COMMANDS)


def test_version_is_the_packages(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"headrace {headrace.__version__}\n"


def test_an_unknown_command_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "sevre") == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_users_mistake_is_a_line_and_not_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "serve", "--config", "no-such-file.yaml") == 2
    err = capsys.readouterr().err
    assert err.startswith("headrace serve: ")
    assert "no-such-file.yaml" in err


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_every_command_has_its_module(name: str) -> None:
    assert hasattr(importlib.import_module(f"headrace.cli.{name}"), "app")
