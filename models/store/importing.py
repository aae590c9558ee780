"""Makes served forms out of references: starts the build in the engine's environment and publishes what it leaves."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from headrace.contracts.errors import StoreError
from headrace.models.catalog.catalogue import Catalogue
from headrace.models.catalog.entry import CatalogEntry, Gate, RecipeSpec
from headrace.models.store.fetching import Fetcher
from headrace.models.store.progress import OnProgress, Progress, StepName, ignore
from headrace.models.store.store import Store

_BF16_BYTES: Final = 2
_TOKENIZER_BYTES: Final = 10_000_000
_STEPS: Final[Mapping[str, StepName]] = {"import": "import", "measure": "measure"}
_TAIL_BYTES: Final = 400


class Importer:
    """Builds and publishes served forms. Safe to share between threads; a form is made once, by whoever comes first."""

    def __init__(self, store: Store, catalogue: Catalogue, fetcher: Fetcher, engine_python: Path) -> None:
        self._store = store
        self._catalogue = catalogue
        self._fetcher = fetcher
        self._engine_python = engine_python

    def import_model(
        self, model_id: str, on_progress: OnProgress = ignore, *, form: str | None = None, measure: bool = False
    ) -> Path:
        """Make a model's served form, fetching its reference where it is absent, and return the published folder.

        form "bf16" makes the plain form under the name `<reference>-bf16`. Without `measure`, a form whose weights
        are not byte for byte the ones that the catalogue's figures stand for is measured all the same. StoreError
        when the gate fails: nothing is published then.
        """
        entry = self._catalogue.get(model_id)
        reference = self._catalogue.reference_of(entry)
        recipe = self._recipe(entry, reference, form)
        name = served_name(entry, reference, recipe)
        if self._store.has(name) and not measure:
            return self._store.path(name)
        (source,) = self._fetcher.fetch([reference.id], on_progress)
        with self._store.lock(name, on_progress):
            if self._store.has(name) and not measure:
                return self._store.path(name)
            self._store.require_space(_needed_bytes(entry, recipe, measure=measure), f"importing {name}")
            with self._store.scratch(name) as scratch:
                staged = scratch / "staged"
                staged.mkdir()
                facts = self._build(name, entry, recipe, source, staged, on_progress=on_progress, measure=measure)
                return self._store.publish(name, staged, facts=facts, on_progress=on_progress)

    def _recipe(self, entry: CatalogEntry, reference: CatalogEntry, form: str | None) -> RecipeSpec:
        """Return how to make the form; bf16 takes over what its int8 sibling knows of the family."""
        if entry.recipe is not None and form in {None, entry.recipe.form}:
            return entry.recipe
        if form != "bf16":
            wanted = "name a served model" if form is None else "the forms are the entry's own and bf16"
            raise StoreError(f"{entry.id} has no form {form or 'of its own'}; {wanted}")
        siblings = [self._catalogue.get(i) for i in self._catalogue.ids()]
        for sibling in siblings:
            if sibling.base == reference.id and sibling.recipe is not None and sibling.recipe.form == "int8":
                return RecipeSpec("bf16", tied=sibling.recipe.tied, template_edits=sibling.recipe.template_edits)
        raise StoreError(f"{entry.id} has no bf16 form; only models with an int8 form do")

    def _build(
        self,
        name: str,
        entry: CatalogEntry,
        recipe: RecipeSpec,
        source: Path,
        staged: Path,
        *,
        on_progress: OnProgress,
        measure: bool,
    ) -> dict[str, Any]:
        request = {
            "form": recipe.form,
            "files": {path.name: str(path) for path in source.iterdir()},
            "folder": str(staged),
            "tied": recipe.tied,
            "template_edits": dict(recipe.template_edits),
            "max_tokens": entry.context_tokens,
            "measure": measure,
        }
        facts = {"kind": entry.kind, "license": entry.license, "form": recipe.form}
        result = self._run(name, request, on_progress)
        gate = entry.gate if recipe.form != "bf16" else None
        is_known = result.get("weights_sha256") == entry.measured.get("weights_sha256")
        if gate is not None and not measure and not is_known:
            result = self._run(name, {**request, "measure": True}, on_progress)
        if gate is not None and "measured" in result:
            check_gate(name, gate, result["measured"])
        return {**facts, **result}

    def _run(self, name: str, request: Mapping[str, Any], on_progress: OnProgress) -> dict[str, Any]:
        """Run one build and return its result; StoreError with its last word when it fails."""
        log = self._store.log_path(f"import-{name}")
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
        last: dict[str, Any] = {}
        try:
            with (
                log.open("wb") as errors,
                subprocess.Popen(  # noqa: S603  (the configured engine interpreter, no shell)
                    [str(self._engine_python), "-m", "headrace.models.build"],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment,
                ) as process,
            ):  # fmt: skip
                try:
                    if process.stdin is not None:
                        process.stdin.write(json.dumps(dict(request)))
                        process.stdin.close()
                    for line in process.stdout or ():
                        last = json.loads(line) if line.startswith("{") else last
                        if last.get("step") in _STEPS:
                            step = _STEPS[last["step"]]
                            on_progress(Progress(name, step, int(last["done"]), int(last["total"])))
                except BaseException:
                    process.terminate()
                    raise
        except OSError as exc:
            raise StoreError(f"{self._engine_python} cannot be started ({exc}); run: make setup") from exc
        if process.returncode or "result" not in last:
            raise StoreError(f"importing {name} failed: {last.get('error') or _tail(log)} (log: {log})")
        return cast("dict[str, Any]", last["result"])


def import_model(
    model_id: str,
    engine_python: Path,
    on_progress: OnProgress = ignore,
    *,
    store: Store | None = None,
    catalogue: Catalogue | None = None,
    form: str | None = None,
    measure: bool = False,
) -> Path:
    """Make one served form in the default store; see Importer.import_model."""
    store, catalogue = store or Store(), catalogue or Catalogue.packaged()
    importer = Importer(store, catalogue, Fetcher(store, catalogue), engine_python)
    return importer.import_model(model_id, on_progress, form=form, measure=measure)


def served_name(entry: CatalogEntry, reference: CatalogEntry, recipe: RecipeSpec) -> str:
    """Return the name a form is published under: the entry's own, or `<reference>-bf16`."""
    return f"{reference.id}-bf16" if recipe.form == "bf16" else entry.id


def check_gate(name: str, gate: Gate, measured: Mapping[str, Any]) -> None:
    """Raise StoreError when figures miss the gate."""
    kl, top1 = float(measured["kl_nats"]), float(measured["top1"])
    if not kl <= gate.max_kl_nats or not top1 >= gate.min_top1:
        raise StoreError(
            f"{name} misses its gate and is not served: KL {kl:.4f} nats (at most {gate.max_kl_nats}), "
            f"top-1 {top1:.3f} (at least {gate.min_top1})"
        )


def _needed_bytes(entry: CatalogEntry, recipe: RecipeSpec, *, measure: bool) -> int:
    plain = entry.parameters * _BF16_BYTES + _TOKENIZER_BYTES
    served = plain if recipe.form == "bf16" else entry.served_bytes
    return served + (plain if measure else 0)


def _tail(log: Path) -> str:
    text = log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace").strip()
    return text.splitlines()[-1] if text else "no word"
