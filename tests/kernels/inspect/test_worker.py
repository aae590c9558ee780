import io
import json
import sys
from pathlib import Path

import pytest

from headrace.kernels.inspect import worker
from headrace.kernels.inspect.facts import from_json
from headrace.kernels.inspect.worker import InspectionFailed, Request, inspect_all, serve
from tests.support.kernels import trial_kernels

OF_TRIAL = [trial_kernels.__name__]


def test_the_environment_of_tests_does_not_reach_the_process_that_compiles(tmp_path: Path) -> None:
    found = inspect_all(Request(["sm_90"], ["narrow"], OF_TRIAL), cache=str(tmp_path))
    assert [(one.role, one.error) for one in found] == [("decode", "")]
    assert any(tmp_path.iterdir())


def test_a_process_that_dies_says_why() -> None:
    with pytest.raises(InspectionFailed, match="No module named 'nowhere'"):
        inspect_all(Request(["sm_90"], modules=["nowhere"]))


def test_shares_cover_all_variants_once() -> None:
    told = []
    for share in ((0, 2), (1, 2)):
        out = io.StringIO()
        serve(Request(["sm_90"], modules=OF_TRIAL, share=share), out)
        told += [from_json(line) for line in out.getvalue().splitlines()]
    assert len({one.name for one in told}) == len(trial_kernels.variants("sm_90"))
    # Here, where kernels are interpreted, each is refused: what is tried is the sharing.
    assert all(one.error for one in told)


def test_a_request_comes_in_and_facts_go_out_as_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    request = {"arches": ["sm_90"], "ops": ["narrow"], "modules": OF_TRIAL, "share": [0, 1]}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(request)))
    worker.main()
    assert [from_json(line).op for line in capsys.readouterr().out.splitlines()] == ["narrow"]
