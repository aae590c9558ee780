import os
from pathlib import Path

import pytest

from headrace.contracts.errors import SetupError
from headrace.setup.instance import Instance


def test_a_second_instance_is_told_pid_and_port_of_the_first(tmp_path: Path) -> None:
    with Instance(tmp_path, port=8080), pytest.raises(SetupError, match=rf"pid {os.getpid()}, port 8080"):
        Instance(tmp_path, port=9090).__enter__()


def test_the_place_is_free_again_afterwards(tmp_path: Path) -> None:
    with Instance(tmp_path, port=8080):
        pass
    with Instance(tmp_path, port=8081):
        pass


def test_instances_with_homes_of_their_own_run_side_by_side(tmp_path: Path) -> None:
    with Instance(tmp_path / "a", port=8080), Instance(tmp_path / "b", port=8081):
        pass


def test_a_file_left_by_a_crash_does_not_block(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/instance.json").write_text('{"pid": 1, "port": 8080}')
    with Instance(tmp_path, port=8080):
        pass


def test_a_holder_that_has_not_written_yet_is_still_reported(tmp_path: Path) -> None:
    with Instance(tmp_path, port=8080):
        (tmp_path / "run/instance.json").write_text("")
        with pytest.raises(SetupError, match="just starting"):
            Instance(tmp_path, port=8080).__enter__()
