import time

from benchmarks.overhead import host


def test_the_device_is_named_with_its_cores() -> None:
    assert "cores" in host.device()


def test_versions_are_those_of_the_environment() -> None:
    assert host.versions("uvloop").startswith("python 3.")
    assert "; uvloop " in host.versions("uvloop")


def test_work_makes_the_machine_busy() -> None:
    before = host.busy_s()
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    assert host.busy_s() > before
