"""How well a collection supports recorded questions, before anything is answered: the signal `retrieval_support`.

Only questions that came with a collection have it: those of PubMedQA, whose thousand abstracts are searched as serving
would search them. The recorded answers were given with the right abstract in the prompt, so this asks whether support
tells where a model reads it rightly; benchmarks/rag_answers.py asks what documents change.
"""

import asyncio
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

import msgspec

from headrace.cli.rag import Tools, filled, telling
from headrace.contracts.retrieval import Query
from headrace.models.store.store import Store
from headrace.retrieval.search import beir
from headrace.retrieval.search.evaluate import Trial
from headrace.retrieval.search.evidence import evidence

SET: Final = "pubmedqa_labeled"
KIND: Final = "pubmedqa"
ASKED: Final = Query("", k=10)


def supports(data: Path, wanted: Collection[str], store: Store | None = None) -> dict[str, float]:
    """Return recorded question id -> support, 0..1, of those of `wanted` that the collection was made for."""
    given = beir.read(data / "retrieval" / SET)
    texts = {f"{KIND}:{query.id}": query.text for query in given.queries}
    with telling() as tell, filled(given, Tools.of(store or Store(), rerank=False), tell) as trial:
        return asyncio.run(_supports(trial, {id_: texts[id_] for id_ in wanted if id_ in texts}))


async def _supports(trial: Trial, texts: Mapping[str, str]) -> dict[str, float]:
    found = {}
    for id_, text in texts.items():
        hits = await trial.searcher.search(trial.index, msgspec.structs.replace(ASKED, text=text))
        found[id_] = evidence(hits, text).support
    return found
