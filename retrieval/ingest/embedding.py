"""Vectors for a job from a model in this process: batches of texts of like length. Blocking."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from headrace.retrieval.embed.model import EmbeddingModel

_BATCH: Final = 32


class ModelEmbed:
    """Implements ingest.job.Embed with a loaded model."""

    def __init__(self, model: EmbeddingModel) -> None:
        self._model = model

    @classmethod
    def load(cls, folder: Path, *, threads: int) -> Self:
        """Load a stored embedding model; StoreError where it is incomplete."""
        return cls(EmbeddingModel(folder, threads=threads))

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        """Return the vector of each text. Short and long ones are kept apart: a batch costs its longest text."""
        sequences = self._model.tokenize(list(texts))
        order = sorted(range(len(sequences)), key=lambda place: len(sequences[place]))
        vectors = [b""] * len(sequences)
        for start in range(0, len(order), _BATCH):
            places = order[start : start + _BATCH]
            for place, vector in zip(places, self._model.embed([sequences[at] for at in places]), strict=True):
                vectors[place] = vector
        return vectors
