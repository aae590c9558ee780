import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from headrace.contracts.errors import BackendUnavailable, ConfigError
from headrace.gateway.reload import Outcome, Reloader, refuse_restart_only
from headrace.gateway.settings.load import load
from headrace.gateway.settings.tree import Settings
from tests.support.config import KEYS, SAMPLE, Cards, environ, load_text, write

CHANGED = SAMPLE.replace("{gt: 3000}", "{gt: 2000}")


@dataclass
class House:
    """Everything a reloader is wired to, remembered."""

    folder: Path
    in_force: list[Settings] = field(default_factory=list)
    told: list[tuple[Outcome, str]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    is_upstream_down: bool = False

    def load(self, path: Path) -> Settings:
        return load(path, environ=environ(self.folder), catalogue=Cards())

    async def probe(self, settings: Settings) -> None:
        assert settings.policy.virtual_models
        if self.is_upstream_down:
            msg = "cloud: connection refused"
            raise BackendUnavailable(msg)

    def report(self, outcome: Outcome, why: str) -> None:
        self.told.append((outcome, why))
        self.news.set()

    def reloader(self) -> Reloader:
        return Reloader(
            load_text(self.folder), load=self.load, probe=self.probe, swap=self.in_force.append, report=self.report
        )


async def test_a_good_file_is_put_in_force(tmp_path: Path) -> None:
    house = House(tmp_path)
    reloader = house.reloader()
    first = reloader.current
    write(tmp_path, CHANGED)
    assert await reloader.reload() == "ok"
    assert house.in_force == [reloader.current]
    assert reloader.current.revision != first.revision
    assert first.policy.revision == first.revision


async def test_a_bad_file_keeps_the_last_good_one_and_says_why(tmp_path: Path) -> None:
    house = House(tmp_path)
    reloader = house.reloader()
    first = reloader.current
    write(tmp_path, SAMPLE.replace("use: large", "use: lagre"))
    assert await reloader.reload() == "failed"
    assert reloader.current is first
    assert house.in_force == []
    assert "headrace.yaml:18:" in house.told[0][1]


async def test_an_upstream_that_does_not_answer_keeps_the_last_good_one(tmp_path: Path) -> None:
    house = House(tmp_path, is_upstream_down=True)
    reloader = house.reloader()
    write(tmp_path, CHANGED)
    assert await reloader.reload() == "failed"
    assert "connection refused" in house.told[0][1]
    assert house.in_force == []


async def test_a_swap_that_is_refused_keeps_the_last_good_one(tmp_path: Path) -> None:
    house = House(tmp_path)
    first = load_text(tmp_path)

    def refuse(settings: Settings) -> None:
        msg = f"{settings.home}: the secret cannot be used"
        raise ConfigError(msg)

    reloader = Reloader(first, load=house.load, probe=house.probe, swap=refuse, report=house.report)
    write(tmp_path, CHANGED)
    assert await reloader.reload() == "failed"
    assert reloader.current is first


async def test_a_config_behind_a_link_that_is_turned_is_reloaded(tmp_path: Path) -> None:
    house, stop = House(tmp_path), asyncio.Event()
    for name, text in (("one", SAMPLE), ("two", CHANGED)):
        (tmp_path / name).mkdir()
        write(tmp_path / name, text)
    (tmp_path / "headrace.yaml").symlink_to(tmp_path / "one" / "headrace.yaml")
    (tmp_path / "keys.yaml").write_text(KEYS)
    reloader = Reloader(
        house.load(tmp_path / "headrace.yaml"),
        load=house.load,
        probe=house.probe,
        swap=house.in_force.append,
        report=house.report,
    )
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(reloader.watch(stop))
        for number in range(20):
            (tmp_path / "next").symlink_to(tmp_path / ("two" if number % 2 == 0 else "one") / "headrace.yaml")
            (tmp_path / "next").rename(tmp_path / "headrace.yaml")
            with suppress(TimeoutError):
                await asyncio.wait_for(house.news.wait(), 1.0)
            house.news.clear()
            if house.in_force:
                break
        stop.set()
    assert house.in_force


async def test_a_file_that_says_the_same_changes_nothing(tmp_path: Path) -> None:
    house = House(tmp_path)
    assert await house.reloader().reload() == "unchanged"
    assert house.in_force == []


async def test_a_changed_keys_file_is_a_new_revision(tmp_path: Path) -> None:
    house = House(tmp_path)
    reloader = house.reloader()
    write(tmp_path, SAMPLE, KEYS.replace("alice", "carol"))
    assert await reloader.reload() == "ok"
    assert reloader.current.keys.issued[0].id == "carol"


async def test_reloads_at_once_run_one_after_the_other(tmp_path: Path) -> None:
    house = House(tmp_path)
    reloader = house.reloader()
    write(tmp_path, CHANGED)
    assert sorted(await asyncio.gather(*(reloader.reload() for _ in range(3)))) == ["ok", "unchanged", "unchanged"]


@pytest.mark.parametrize(
    ("old", "new", "section"),
    [
        ("port: 8080", "port: 8081", "server"),
        ("smollm2-135m-instruct-int8", "qwen2.5-coder-0.5b-instruct-int8", "backends"),
        ("keys_file:", "ledger: {flush_s: 1.5}\nkeys_file:", "ledger"),
        ("keys_file:", "embeddings: {model: all-minilm-l6-v2}\nkeys_file:", "embeddings"),
        ("keys_file:", "retrieval: {ingest_workers: 4}\nkeys_file:", "retrieval"),
    ],
)
def test_what_needs_a_restart_is_refused_by_name(tmp_path: Path, old: str, new: str, section: str) -> None:
    before, after = load_text(tmp_path), load_text(tmp_path, SAMPLE.replace(old, new))
    with pytest.raises(ConfigError, match=section):
        refuse_restart_only(before, after)
    refuse_restart_only(before, load_text(tmp_path, CHANGED))


async def test_file_changes_and_sighup_reload_until_told_to_stop(tmp_path: Path) -> None:
    house, stop = House(tmp_path), asyncio.Event()
    reloader = house.reloader()
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(reloader.watch(stop))
        await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGHUP)
        await house.news.wait()
        assert house.told[0][0] == "unchanged"
        house.news.clear()
        while not house.in_force:
            write(tmp_path, CHANGED)
            house.news.clear()
            try:
                await asyncio.wait_for(house.news.wait(), 1.0)
            except TimeoutError:
                continue
        stop.set()
    assert house.in_force[0].revision == reloader.current.revision
