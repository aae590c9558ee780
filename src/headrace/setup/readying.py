"""Makes ready what one config needs: the engine environment and the served form of every local model."""

import os
from functools import partial
from pathlib import Path
from typing import Final

import psutil
from filelock import FileLock

import headrace
from headrace.contracts.errors import SetupError
from headrace.gateway.settings.tree import Settings
from headrace.models.catalog.catalogue import Catalogue
from headrace.models.store.fetching import Fetcher
from headrace.models.store.importing import Importer
from headrace.models.store.progress import Progress
from headrace.models.store.store import Store
from headrace.setup import environment, plan, preflight
from headrace.setup.display import Display, megabytes
from headrace.setup.prepare import Model, prepare

ENGINE_STEP: Final = "engine environment"
BYTES_STEPS: Final = frozenset({"fetch", "join", "publish"})


class Readying:
    """One config's needs, asked of the disk when it is made. `run` may be interrupted and run again."""

    def __init__(self, settings: Settings, store: Store, *, catalogue: Catalogue | None = None) -> None:
        self._catalogue = catalogue or Catalogue.packaged()
        self._store = store
        self._repository = _repository()
        self._engines = [engine.model for engine in settings.engines]
        self._compiles = any(not engine.eager for engine in settings.engines)
        served = [*self._engines, *([settings.embeddings] if settings.embeddings else [])]
        self._models = plan.wanted_models(self._catalogue, served)
        self.home = store.home
        self.engine_python = environment.engine_python(self._repository)

    def check(self) -> list[str]:
        """Look at the machine before anything is built; return warnings, raise for what cannot work."""
        host = preflight.measure(self._repository, self.home)
        missing = self._missing_models()
        needs = plan.room_for(
            self._catalogue,
            missing,
            builds_environment=bool(self._missing_steps(missing, has_gpu=host.has_gpu)),
            compiles=self._compiles,
        )
        plan.check_memory(
            self._catalogue,
            self._engines,
            cores=os.cpu_count() or 1,
            memory_bytes=psutil.virtual_memory().available,
            gpus=int(host.has_gpu),
        )
        return preflight.judge(host, needs) if self._models else []

    def run(self, display: Display) -> None:
        """Do what is missing, side by side."""
        missing = self._missing_models()
        has_gpu = preflight.has_gpu()
        fetcher = Fetcher(self._store, self._catalogue)
        steps = self._missing_steps(missing, has_gpu=has_gpu)
        prepare(
            environment=partial(self._build_environment, display, has_gpu=has_gpu) if steps else None,
            models=[
                Model(
                    model,
                    fetch=partial(self._fetch, fetcher, model, display),
                    build=partial(self._import, fetcher, model, display),
                )
                for model in missing
            ],
        )

    def _missing_models(self) -> list[str]:
        return [model for model in self._models if not self._store.has(model)]

    def _missing_steps(self, missing_models: list[str], *, has_gpu: bool) -> list[environment.Step]:
        if not (self._engines or missing_models):
            return []
        return environment.missing(self._repository, has_gpu=has_gpu)

    def _build_environment(self, display: Display, *, has_gpu: bool) -> None:
        display.show(ENGINE_STEP, "waiting for another setup to finish")
        with FileLock(self._repository / ".venv-engine.lock"):
            environment.build(
                self._repository,
                has_gpu=has_gpu,
                log=self.home / "logs" / "setup-environment.log",
                report=partial(display.show, ENGINE_STEP),
            )
        display.end(ENGINE_STEP)

    def _fetch(self, fetcher: Fetcher, model: str, display: Display) -> None:
        step = f"fetch {model}"
        display.show(step, "asking for it")
        fetcher.fetch([model], partial(_show, display, step))
        display.end(step)

    def _import(self, fetcher: Fetcher, model: str, display: Display) -> None:
        step = f"import {model}"
        display.show(step, "starting")
        importer = Importer(self._store, self._catalogue, fetcher, self.engine_python)
        importer.import_model(model, partial(_show, display, step))
        display.end(step)


def _show(display: Display, step: str, progress: Progress) -> None:
    if progress.step in BYTES_STEPS:
        detail = f"{progress.step} {megabytes(progress.done, progress.total)}"
    else:
        detail = progress.step
    display.show(step, detail, progress.done, progress.total)


def _repository() -> Path:
    root = Path(headrace.__file__).resolve().parents[2]
    if not (root / "requirements" / "engine.lock").is_file():
        raise SetupError(
            "`headrace up` builds its engines from a checkout and this is an installed package; clone the repository "
            "and run `make serve`, or name running engines by URL and use `headrace serve --config FILE`"
        )
    return root
