from typing import Any

from headrace.contracts.policy import Retrieve
from headrace.contracts.retrieval import FileSearch
from headrace.contracts.routing import Retrieved
from headrace.gateway.grounding.context import Window, build
from headrace.gateway.grounding.grounding import REFUSAL, Grounding
from headrace.gateway.grounding.wanted import read_wanted
from headrace.router.policies.names import resolve
from tests.support.documents import LEAVE, hit
from tests.support.routing import auto, call, policy


def grounding(retrieve: Retrieve | None = None, *, shown: bool = True, **fields: Any) -> Grounding:
    made = policy(auto(retrieve=retrieve or Retrieve(("x",))))
    asked = call(**fields)
    wanted = read_wanted(made, resolve(made, asked.model), asked, "t")
    assert wanted is not None
    found = Grounding(wanted, "How many days?", asked, lambda: 1.0, queries=["How many days?"], hits=[hit(LEAVE)])
    if shown:
        found.add(build([hit(LEAVE)], [Window(4096, len)], prompt_tokens=1, answer_tokens=None))
    return found


def test_what_a_model_is_shown_adds_up() -> None:
    found = grounding()
    assert found.retrieved == Retrieved(None, found.retrieved_tokens)
    assert found.retrieved_tokens > len(LEAVE)
    assert found.record().passages == 1


def test_citations_of_every_choice_are_counted() -> None:
    found = grounding()
    assert found.extras("You get 27 days of paid leave [1].")["citations"][0]["index"] == 1
    assert found.extras("Penguins [7].") == {}
    assert (found.record().cited, found.record().dropped) == (1, 1)


def test_hits_are_shown_only_to_who_asks() -> None:
    asked = grounding(shows_hits=True, shown=False, file_search=FileSearch(("vs_1",)))
    assert asked.extras("anything") == {
        "file_search_call": {
            "queries": ["How many days?"],
            "results": [
                {"file_id": "file-1", "filename": "handbook.md", "score": 0.9, "text": LEAVE, "attributes": {}}
            ],
        }
    }


def test_only_where_the_setting_says_so_is_a_question_declined() -> None:
    for word, expected in (("refuse", True), ("answer", False), ("escalate", False)):
        found = grounding(Retrieve(("x",), when_unsupported=word))  # type: ignore[arg-type]
        assert not found.is_refused, "nothing was searched yet"
        found.support = 0.0
        assert found.is_refused is expected
        assert found.record().unsupported == word


def test_a_declined_question_gets_the_same_words_for_each_choice_and_costs_nothing() -> None:
    found = grounding(n=2).refusal()
    assert [choice.message["content"] for choice in found.choices] == [REFUSAL, REFUSAL]
    assert [choice.finish_reason for choice in found.choices] == ["stop", "stop"]
    assert found.usage is not None
    assert found.usage.total_tokens == 0
