"""`headrace router collect` and `compact`: put labelled questions to the tiers of a config, and sum up the answers."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from headrace.cli.serve import find_engine_python
from headrace.contracts.errors import ConfigError
from headrace.gateway.settings.load import load
from headrace.gateway.settings.tree import EngineBackend, Settings, UrlBackend
from headrace.gateway.wiring.processes import launch
from headrace.models.backends.client import HttpBackend
from headrace.models.backends.encode import EndpointSpec
from headrace.models.backends.session import make_session
from headrace.models.backends.supervisor import Supervisor
from headrace.models.backends.watchdog import Timeouts
from headrace.models.backends.wire import Pool
from headrace.router.training.compact import compact as joined
from headrace.router.training.corpus import data_dir
from headrace.router.training.datasets import NAMED, read_dataset
from headrace.router.training.labelled import Question
from headrace.router.training.record import DEADLINE_S, GREEDY, Ask, Asking, Row, append_row, kept_rows, plan, record
from headrace.router.training.table import write_table

INTERRUPTED: Final = 130
CONNECT_S: Final = 60.0  # an engine at work on every core is slow to accept
MOST_AT_ONCE: Final = 64  # what an engine of ours lets wait


@dataclass(frozen=True, slots=True)
class Job:
    """One tier's part of a collection: whom to ask what, and where the answers go."""

    tier: str
    backend: EngineBackend | UrlBackend
    chains: Sequence[Sequence[Ask]]
    path: Path
    at_once: int


def collect(  # noqa: PLR0917  (typer takes one parameter an option)
    config: Annotated[Path, typer.Option(help="config whose tiers are asked")],
    dataset: Annotated[list[str], typer.Option(help=f"{', '.join(sorted(NAMED))}, or a .jsonl[.gz] file; repeatable")],
    tiers: Annotated[str, typer.Option(help="tiers to ask, comma-separated")],
    out: Annotated[Path, typer.Option(help="folder of the run; the same command goes on where it stopped")],
    samples: Annotated[int, typer.Option(min=0, help="sampled answers to each sampled question")] = 2,
    sampled: Annotated[int, typer.Option(min=0, help="questions that get sampled answers and a confidence")] = 150,
    repeat: Annotated[int, typer.Option(min=0, help="questions asked a second time, for run-to-run variance")] = 100,
    at_once: Annotated[int, typer.Option(min=1, max=MOST_AT_ONCE, help="requests in flight")] = 32,
) -> None:
    """Put every question to every tier and grade the answers; tiers run one after another.

    Engines that the config asks for are started and ended here; backends with `urls` are used as they are.
    """
    settings = load(config)
    questions = _questions(dataset)
    chains = plan(questions, samples=samples, sampled=sampled, repeat=repeat)
    out.mkdir(parents=True, exist_ok=True)
    jobs = [_job(settings, tier, chains, out, at_once) for tier in _names(tiers)]
    try:
        for job in jobs:
            asyncio.run(_collect(settings, job))
    except BaseExceptionGroup as group:
        raise _first(group) from group
    except KeyboardInterrupt as exc:
        sys.stderr.write("headrace router collect: stopped; what is answered is kept, the same command goes on\n")
        raise typer.Exit(INTERRUPTED) from exc


def compact(
    runs: Annotated[Path, typer.Option(help="folder of a run made by `collect`")],
    dataset: Annotated[list[str], typer.Option(help="the datasets it was made with; repeatable")],
    out: Annotated[Path, typer.Option(help="table to write (.jsonl.gz)")],
) -> None:
    """Join a run's answers into one small table without their texts: what `calibrate` and the benchmarks read."""
    rows = [row for path in sorted(runs.glob("*.jsonl")) for row in kept_rows(path)]
    if not rows:
        raise ConfigError(f"{runs}: no answers; make them with `headrace router collect`")
    by_model: dict[str, list[Row]] = {}
    for row in rows:
        by_model.setdefault(row.model, []).append(row)
    entries = joined(_questions(dataset), by_model)
    write_table(out, entries)
    sys.stdout.write(f"{out}: {len(entries)} questions, {', '.join(sorted(by_model))}\n")


def _questions(datasets: Sequence[str]) -> list[Question]:
    folder = data_dir() if set(datasets) & NAMED.keys() else Path()
    questions: dict[str, Question] = {}
    for name in datasets:
        for one in read_dataset(name, folder):
            if one.question_id in questions:
                raise ConfigError(f"--dataset {name!r}: question_id {one.question_id!r} is in another one too")
            questions[one.question_id] = one
    return list(questions.values())


def _names(tiers: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in tiers.split(",") if name.strip()))


def _job(settings: Settings, name: str, chains: Sequence[Sequence[Ask]], out: Path, at_once: int) -> Job:
    try:
        tier = settings.policy.tier(name)
    except KeyError as exc:
        known = ", ".join(tier.id for tier in settings.policy.tiers)
        raise ConfigError(f"--tiers: no tier {name!r} in {settings.source}; one of {known}") from exc
    backend = settings.backends[tier.default]
    if "logprobs" not in backend.card.capabilities:
        raise ConfigError(
            f"--tiers: {backend.card.id!r} of tier {name!r} gives no log-probabilities, so nothing tells "
            f"how sure its answers are; if it does, add logprobs to backends.{backend.id}.capabilities"
        )
    job = Job(name, backend, chains, out / f"{name}.jsonl", at_once)
    strangers = {row.model for row in kept_rows(job.path)} - {backend.card.id}
    if strangers:
        raise ConfigError(
            f"{job.path} holds answers of {', '.join(strangers)}, the tier is {backend.card.id} now; give another --out"
        )
    return job


async def _collect(settings: Settings, job: Job) -> None:
    kept = kept_rows(job.path)
    known = {(row.question_id, row.form) for row in kept}
    missing = sum(ask.key not in known for chain in job.chains for ask in chain)
    asked = sum(len(chain) for chain in job.chains)
    if missing:
        with _progress() as progress:
            bar = progress.add_task(f"{job.tier}: starting", total=asked, completed=asked - missing)
            async with _backend(settings, job) as backend:
                progress.update(bar, description=f"{job.tier}: {job.backend.card.id}")

                def on_row(row: Row) -> None:
                    append_row(job.path, row)
                    progress.advance(bar)

                clock = asyncio.get_running_loop().time
                asking = Asking(job.backend.card.id, job.backend.card.price, job.at_once, clock, time.time)
                kept += await record(backend, job.chains, asking, kept=kept, on_row=on_row)
    greedy = [row for row in kept if row.form == GREEDY]
    right = sum(row.correct for row in greedy)
    cost_usd = sum(row.cost_microusd for row in kept) / 1e6
    sys.stdout.write(
        f"{job.path}: {job.backend.card.id}: {len(kept)} answers, {right} of {len(greedy)} greedy ones right, "
        f"{cost_usd:.4f} USD\n"
    )
    sys.stdout.flush()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return one of the errors that ended a run: the others say the same."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


@asynccontextmanager
async def _backend(settings: Settings, job: Job) -> AsyncIterator[HttpBackend]:
    """Yield the tier's backend; an engine is started first and ended afterwards."""
    async with (
        make_session() as session,
        Supervisor(job.path.parent / "processes") as supervisor,
        Pool(connect_s=CONNECT_S) as pool,
    ):
        spec = job.backend
        if isinstance(spec, UrlBackend):
            endpoints = [EndpointSpec(url, spec.api_key or "") for url in spec.urls]
        else:
            only = replace(settings, backends={spec.id: spec}, embeddings=None)
            processes = launch(only, supervisor, session, engine_python=find_engine_python(), environ=os.environ)
            await supervisor.wait_ready()
            endpoints = [processes.engines[spec.id].endpoint]
        yield HttpBackend(
            id=spec.id,
            card=spec.card,
            endpoints=endpoints,
            pool=pool,
            timeouts=Timeouts(first_byte_s=DEADLINE_S, between_s=DEADLINE_S),
            upstream_model=spec.model,
        )


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
