from typing import Any

import pytest

from headrace.contracts.policy import Policy, Retrieve
from headrace.contracts.retrieval import Compare, FileSearch
from headrace.gateway.grounding.wanted import Wanted, read_wanted
from headrace.router.policies.names import resolve
from tests.support.routing import auto, call, card, policy

HANDBOOK = Retrieve(("handbook",), tenant="ops", k=7, min_score=0.2, when="auto", timeout_s=1)
OWN = FileSearch(("vs_1",), k=3, where=Compare("a", "eq", 1.0), min_score=0.5, rerank=False)


def wanted(retrieve: Retrieve | None = None, made: Policy | None = None, **fields: Any) -> Wanted | None:
    chosen = made or policy(auto(retrieve=retrieve))
    asked = call(fields.pop("model", "headrace/auto"), **fields)
    return read_wanted(chosen, resolve(chosen, asked.model), asked, "acme")


def must(*args: Any, **fields: Any) -> Wanted:
    found = wanted(*args, **fields)
    assert found is not None
    return found


def test_nobody_asked() -> None:
    assert wanted() is None
    assert wanted(HANDBOOK, endpoint="completions") is None


def test_a_virtual_models_documents_are_the_operators() -> None:
    found = must(HANDBOOK)
    assert (found.tenant, found.collections, found.k, found.min_score, found.when) == (
        "ops",
        ("handbook",),
        7,
        0.2,
        "auto",
    )
    assert not found.is_own


def test_a_requests_own_search_is_the_callers_and_wins() -> None:
    found = must(HANDBOOK, file_search=OWN)
    assert (found.tenant, found.collections, found.k, found.min_score) == ("acme", ("vs_1",), 3, 0.5)
    assert (found.where, found.rerank, found.when, found.is_own) == (OWN.where, False, "auto", True)
    assert found.retrieve is HANDBOOK


def test_what_a_search_leaves_open_the_setting_fills() -> None:
    found = must(HANDBOOK, file_search=FileSearch(("vs_1",)))
    assert (found.k, found.min_score, found.where) == (7, 0.2, None)
    plain = must(file_search=FileSearch(("vs_1",)))
    assert (plain.k, plain.min_score, plain.when) == (5, 0.0, "always")


def test_a_forced_search_is_made_whatever_the_setting() -> None:
    assert must(HANDBOOK, file_search=FileSearch(("vs_1",), is_forced=True)).when == "always"


@pytest.mark.parametrize(("tools", "n", "when"), [(True, 1, "model"), (True, 2, "always"), (False, 1, "always")])
def test_a_model_searches_only_where_one_can_call_tools(tools: bool, n: int, when: str) -> None:
    able = frozenset({"stream", "tools"} if tools else {"stream"})
    cards = {name: card(name, capabilities=able) for name in ("small-backend", "large-backend")}  # type: ignore[arg-type]
    made = policy(auto(retrieve=Retrieve(("x",), when="model")), cards=cards)
    assert must(made=made, n=n).when == when


@pytest.mark.parametrize(
    ("model", "cards"),
    [
        ("headrace/auto", ("small-model", "large-model")),
        ("headrace/small", ("small-model",)),
        ("large-model", ("large-model",)),
    ],
)
def test_every_backend_that_may_answer_bounds_the_context(model: str, cards: tuple[str, ...]) -> None:
    found = must(file_search=OWN, model=model)
    assert tuple(each.id for each in found.cards) == cards


def test_a_probe_by_words_has_no_bound_on_scores() -> None:
    query = must(HANDBOOK).query("leave", mode="lexical", k=3)
    assert (query.k, query.min_score, query.mode) == (3, 0.0, "lexical")
