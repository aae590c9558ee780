"""An index against a few lines of plain Python that promise the same, over random histories."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from headrace.contracts.retrieval import Attributes, Compare, Compound, Filter
from headrace.retrieval.collection.open import IndexOptions, open_index
from tests.support.collections import EMBEDDER, document, turned
from tests.support.filters import passes

NAMES = st.sampled_from("abcdef")
IN_ORDER = st.sampled_from(["", "x", "y"]) | st.sampled_from([0, 1, 1.5, -2])
SCALARS = IN_ORDER | st.booleans()
KEYS = st.sampled_from(["k", "l"])
ATTRIBUTES: st.SearchStrategy[Attributes] = st.dictionaries(KEYS, SCALARS, max_size=2)
PASSAGES = st.lists(st.tuples(st.sampled_from(["red", "green", "blue"]), st.integers(0, 359)), max_size=3)
ORDERED = st.builds(Compare, KEYS, st.sampled_from(["gt", "gte", "lt", "lte"]), IN_ORDER)
EQUAL = st.builds(Compare, KEYS, st.sampled_from(["eq", "ne"]), SCALARS)
LISTED = st.builds(Compare, KEYS, st.sampled_from(["in", "nin"]), st.lists(SCALARS, max_size=3).map(tuple))
FILTERS: st.SearchStrategy[Filter] = st.recursive(
    ORDERED | EQUAL | LISTED,
    lambda inner: st.builds(Compound, st.sampled_from(["and", "or"]), st.lists(inner, max_size=3).map(tuple)),
    max_leaves=4,
)
Passages = list[tuple[str, int]]


class Histories(RuleBasedStateMachine):
    """Puts, replacements, removals, annotations, searches and restarts in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.held: dict[str, tuple[Passages, Attributes]] = {}

    @initialize(after=st.sampled_from([4, 10**6]))
    def start(self, after: int) -> None:
        """Begin with an index that is built anew often, or never."""
        self.options = IndexOptions(rebuild_after=after)
        self.open()

    def open(self) -> None:
        self.index = open_index(Path(self.folder.name) / "handbook", EMBEDDER, create=True, options=self.options)

    @rule(name=NAMES, passages=PASSAGES, attributes=ATTRIBUTES)
    def put(self, name: str, passages: Passages, attributes: Attributes) -> None:
        self.index.put(
            document(name, [word for word, _ in passages], attributes), [turned(angle) for _, angle in passages]
        )
        self.held[name] = passages, attributes

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        assert self.index.remove(name) is (self.held.pop(name, None) is not None)

    @rule(name=NAMES, attributes=ATTRIBUTES)
    def annotate(self, name: str, attributes: Attributes) -> None:
        assert self.index.annotate(name, attributes) is (name in self.held)
        if name in self.held:
            self.held[name] = self.held[name][0], attributes

    @rule()
    def restart(self) -> None:
        self.index.close()
        self.open()

    @rule(angle=st.integers(0, 359), k=st.integers(1, 20), where=st.none() | FILTERS)
    def dense(self, angle: int, k: int, where: Filter | None) -> None:
        found = self.index.dense(turned(angle), k, where)
        expected = sorted(
            (-_cosine(angle, other), name)
            for name, (passages, attributes) in self.held.items()
            if where is None or passes(where, attributes)
            for _, other in passages
        )[:k]
        np.testing.assert_allclose([score for _, score in found], [-score for score, _ in expected], atol=1e-6)
        names = {passage.document for passage in self.index.passages([id_ for id_, _ in found])}
        assert all(where is None or passes(where, self.held[name][1]) for name in names)

    @rule(word=st.sampled_from(["red", "green", "blue", "black"]), where=st.none() | FILTERS)
    def lexical(self, word: str, where: Filter | None) -> None:
        found = self.index.lexical(word, 100, where)
        expected = sorted(
            (name, other)
            for name, (passages, attributes) in self.held.items()
            if where is None or passes(where, attributes)
            for other, _ in passages
            if other == word
        )
        passages = self.index.passages([id_ for id_, _ in found])
        assert sorted((passage.document, passage.text) for passage in passages) == expected

    @invariant()
    def tells_of_the_same_documents(self) -> None:
        told = {info.id: (info.chunks, info.attributes) for info in self.index.documents()} if self.held else {}
        assert told == {name: (len(passages), attributes) for name, (passages, attributes) in self.held.items()}

    def teardown(self) -> None:
        if hasattr(self, "index"):
            self.index.close()
        self.folder.cleanup()


def _cosine(one: int, other: int) -> float:
    return float(np.cos(np.radians(one - other)))


Histories.TestCase.settings = settings(
    max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
test_histories = Histories.TestCase
