import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from headrace.contracts.errors import EngineError
from headrace.models.backends.supervisor import ProcessSpec, RestartLimits, Supervisor, last_words

QUICK = RestartLimits(first_s=0.01, longest_s=0.02, most=2)


def spec(
    tmp_path: Path,
    script: str,
    ready: Callable[[Callable[[str], None]], Awaitable[None]] | None = None,
    *,
    start_s: float = 20.0,
) -> ProcessSpec:
    async def when_up(say: Callable[[str], None]) -> None:
        say("a word in the log")
        await until((tmp_path / "up").exists)

    return ProcessSpec(
        name="engine",
        argv=(sys.executable, "-c", f"up = {str(tmp_path / 'up')!r}\n{script}"),
        env=dict(os.environ),
        log=tmp_path / "logs" / "engine.log",
        ready=ready or when_up,
        start_s=start_s,
        stop_s=2.0,
    )


SERVE = "import time; open(up, 'w').close(); time.sleep(600)"


async def until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not claim():  # noqa: ASYNC110  (the state of another process has no event)
            await asyncio.sleep(0.01)


async def test_a_process_becomes_ready_and_nothing_of_it_stays(tmp_path: Path) -> None:
    async with Supervisor(tmp_path / "run", limits=QUICK) as supervisor:
        supervisor.start(spec(tmp_path, SERVE))
        assert not supervisor.is_ready("engine")
        await supervisor.wait_ready()
        assert supervisor.is_ready("engine")
        (status,) = supervisor.statuses()
        assert status.pid is not None
        family = [psutil.Process(status.pid), *psutil.Process(status.pid).children(recursive=True)]
        assert len(family) == 2
        assert len(list((tmp_path / "run").iterdir())) == 1
    assert not any(process.is_running() for process in family)
    assert list((tmp_path / "run").iterdir()) == []
    assert supervisor.statuses()[0].state == "stopped"


async def test_a_killed_process_comes_back(tmp_path: Path) -> None:
    async with Supervisor(tmp_path / "run", limits=QUICK) as supervisor:
        supervisor.start(spec(tmp_path, SERVE))
        await supervisor.wait_ready()
        first = supervisor.statuses()[0].pid
        assert first is not None
        psutil.Process(first).children()[0].kill()
        await until(lambda: supervisor.statuses()[0].restarts == 1 and supervisor.is_ready("engine"))
        assert supervisor.statuses()[0].pid != first


async def test_a_crash_loop_ends_in_down_with_the_last_error_as_reason(tmp_path: Path) -> None:
    async with Supervisor(tmp_path / "run", limits=QUICK) as supervisor:
        supervisor.start(spec(tmp_path, "raise ValueError('no such weights')"))
        with pytest.raises(EngineError, match="engine did not start: ended with status 1: ValueError: no such weights"):
            await supervisor.wait_ready()
        (status,) = supervisor.statuses()
        assert (status.state, status.restarts) == ("down", 1)
        assert "2 times in a row" in status.detail


async def test_a_process_that_has_served_gets_more_tries(tmp_path: Path) -> None:
    async with Supervisor(tmp_path / "run", limits=QUICK) as supervisor:
        supervisor.start(spec(tmp_path, "import time; open(up, 'w').close(); time.sleep(0.2)"))
        await until(lambda: supervisor.statuses()[0].state == "down")
        (status,) = supervisor.statuses()
        assert status.restarts == 2
        assert "3 times in a row" in status.detail


async def test_a_start_that_takes_too_long_says_what_it_waited_for(tmp_path: Path) -> None:
    limits = RestartLimits(most_at_start=0)
    async with Supervisor(tmp_path / "run", limits=limits) as supervisor:
        supervisor.start(spec(tmp_path, "import time; time.sleep(600)", start_s=0.3))
        with pytest.raises(EngineError, match=r"not ready in 0\.3 s, waiting for a word in the log"):
            await supervisor.wait_ready()


async def test_a_failed_warm_up_counts_as_a_failed_start(tmp_path: Path) -> None:
    async def ready(_: Callable[[str], None]) -> None:
        raise EngineError("it answered 500")

    async with Supervisor(tmp_path / "run", limits=RestartLimits(most_at_start=0)) as supervisor:
        supervisor.start(spec(tmp_path, SERVE, ready))
        with pytest.raises(EngineError, match="it answered 500"):
            await supervisor.wait_ready()


async def test_a_broken_readiness_check_leaves_nobody_waiting(tmp_path: Path) -> None:
    async def ready(_: Callable[[str], None]) -> None:
        raise ZeroDivisionError

    supervisor = Supervisor(tmp_path / "run", limits=QUICK)
    supervisor.start(spec(tmp_path, SERVE, ready))
    with pytest.raises(EngineError, match="its supervision broke off"):
        await supervisor.wait_ready()
    with pytest.raises(ZeroDivisionError):
        await supervisor.stop()
    assert list((tmp_path / "run").iterdir()) == []


async def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    missing = ProcessSpec("engine", ("/no/such/python",), {}, tmp_path / "log", spec(tmp_path, "").ready)
    async with Supervisor(tmp_path / "run", limits=RestartLimits(most_at_start=0)) as supervisor:
        supervisor.start(missing)
        with pytest.raises(EngineError, match="/no/such/python"):
            await supervisor.wait_ready()


async def test_stopping_while_a_process_starts_ends_it(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path / "run", limits=QUICK)
    async with supervisor:
        supervisor.start(spec(tmp_path, "import time; time.sleep(600)"))
        await until(lambda: supervisor.statuses()[0].pid is not None)
        pid = supervisor.statuses()[0].pid
    assert pid is not None
    assert not psutil.pid_exists(pid)


OWNER = """
import asyncio, os, sys
from pathlib import Path
from headrace.models.backends.supervisor import ProcessSpec, Supervisor

async def ready(say):
    await asyncio.sleep(0)

async def main(folder):
    async with Supervisor(folder / "run") as supervisor:
        command = (sys.executable, "-c", "import time; time.sleep(600)")
        supervisor.start(ProcessSpec("engine", command, dict(os.environ), folder / "log", ready, stop_s=1.0))
        await supervisor.wait_ready()
        print(supervisor.statuses()[0].pid, flush=True)
        await asyncio.sleep(600)

asyncio.run(main(Path(sys.argv[1])))
"""


async def test_kill_9_of_the_owner_leaves_no_process(tmp_path: Path) -> None:
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert owner.stdout is not None
    pid = int(await owner.stdout.readline())
    await until(lambda: len(psutil.Process(pid).children()) == 1)
    family = [psutil.Process(pid), *psutil.Process(pid).children()]
    owner.send_signal(signal.SIGKILL)
    await owner.wait()
    await until(lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in family))
    async with Supervisor(tmp_path / "run"):
        assert list((tmp_path / "run").iterdir()) == []


def test_the_last_error_of_a_log_is_the_reason(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_words(log) == "it left no log"
    log.write_text("\n")
    assert last_words(log) == "it said nothing"
    log.write_text("one\nValueError: bad\nafter\n")
    assert last_words(log) == "ValueError: bad"
