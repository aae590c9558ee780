from pathlib import Path

from benchmarks.rag.live import Live
from benchmarks.rag.questions import CLAPNQ, Question
from benchmarks.rag.run import Row
from benchmarks.rag_answers import ALONE, GROUNDED, MODELS, ask, tabulate
from headrace.gateway.settings.load import load
from tests.support.documents import LEAVE, Library
from tests.support.gateway import CONFIG, running, settings_for
from tests.support.replies import Say
from tests.support.upstream import Upstream

PUBLISHED = Path(__file__).parents[2] / "benchmarks" / "rag" / "gateway.yaml"
ASKED = Question(CLAPNQ, "q1", "answerable", "How many days of paid leave?", ("27 days of paid leave",), LEAVE)


async def test_a_row_tells_what_documents_did_for_an_answer(tmp_path: Path) -> None:
    async with (
        Upstream() as small,
        running(settings_for(tmp_path, small.url, small.url, CONFIG), retriever=Library.of(LEAVE)) as gateway,
    ):
        live = Live(gateway.url, gateway.http)
        small.then(Say(["27 days of paid leave [1]"]), Say(["I do not know."]))
        with_documents = await ask(live, ASKED, "headrace/small", GROUNDED, "vs_1", 3)
        without = await ask(live, ASKED, "headrace/small", ALONE, "vs_1", 3)
    named = ("f1_percent", "exact_percent", "declined_percent", "gold_found_percent", "cited_percent", "small_percent")
    assert [with_documents[name] for name in named] == [100, 100, 0, 100, 100, 100]
    assert [without[name] for name in named] == [0, 0, 100, 0, 0, 100]
    found = {line.place: line.interval.value for line in tabulate([with_documents, without])}
    assert found["clapnq_dev answerable", GROUNDED, "headrace/small", "f1_percent"] == 100
    assert found["clapnq_dev answerable", "documents minus none", "headrace/small", "f1_percent"] == 100


def test_differences_are_paired_by_question() -> None:
    def row(question: str, arm: str, value: float) -> Row:
        figures = dict.fromkeys(
            (
                "declined_percent",
                "cited_percent",
                "small_percent",
                "cost_microusd",
                "seconds",
                "prompt_tokens",
                "attempts",
            ),
            value,
        )
        return {"set": "s", "kind": "unanswerable", "model": "m", "arm": arm, "question": question, **figures}

    rows = [row("a", GROUNDED, 100.0), row("b", GROUNDED, 0.0), row("b", ALONE, 0.0), row("a", ALONE, 100.0)]
    (line,) = [one for one in tabulate(rows) if one.place[1:] == ("documents minus none", "m", "declined_percent")]
    assert (line.interval.low, line.interval.value, line.interval.high) == (0.0, 0.0, 0.0)


def test_the_config_of_the_published_figures_loads_and_names_every_model_that_is_asked() -> None:
    policy = load(PUBLISHED).policy
    assert set(MODELS) <= set(policy.virtual_models)
    careful = policy.virtual_models["headrace/careful"].retrieve
    assert careful is not None
    assert careful.when_unsupported == "refuse"
