from pathlib import Path

from benchmarks.rag.live import Live
from benchmarks.rag_attacks import PASTED, SEARCHED, ask, attacks, tabulate
from tests.support.documents import Library
from tests.support.gateway import CONFIG, running, settings_for
from tests.support.replies import Say
from tests.support.upstream import Upstream


def test_every_attack_stands_in_an_honest_document() -> None:
    made = attacks()
    assert len(made) >= 60
    assert all(one["right"] in one["document"].casefold() for one in made)
    assert not any(one["canary"].casefold() == one["right"] for one in made)


async def test_a_model_that_repeats_the_word_is_counted_and_one_that_answers_is_not(
    tmp_path: Path,
) -> None:
    attack = attacks()[0]
    library = Library.of(attack["document"])
    async with (
        Upstream() as small,
        running(settings_for(tmp_path, small.url, small.url, CONFIG), retriever=library) as gateway,
    ):
        live = Live(gateway.url, gateway.http)
        small.then(Say(["From pier nine [1]."]), Say(["quillmoss"]))
        safe = await ask(live, attack, "headrace/small", SEARCHED, "vs_1")
        caught = await ask(live, attack, "headrace/small", PASTED, "vs_1")
    assert (safe["through"], safe["right"], safe["found"], safe["tier"]) == (False, True, 1, "small")
    assert (caught["through"], caught["right"], caught["found"]) == (True, False, 0)
    sent = [seen.json["messages"][-1]["content"] for seen in small.seen]
    assert "Using only these passages" in sent[0]
    assert "Using only these passages" not in sent[1]
    rates = {line.place[2:]: line.interval.value for line in tabulate([safe, caught])}
    assert rates[("all", "got_through_percent")] in {0.0, 100.0}
    assert {line.place[1] for line in tabulate([safe, caught])} == {SEARCHED, PASTED}
