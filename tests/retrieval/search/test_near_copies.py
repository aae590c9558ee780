from headrace.contracts.retrieval import Hit, Passage
from headrace.retrieval.search.near_copies import without_copies


def hit(id_: int, text: str) -> Hit:
    return Hit(Passage(id_, "file", "a.txt", text, 0, len(text), 1), 1 / (id_ + 1))


LONG = "the river rises in the hills and runs past seven towns before it meets the slow brown sea at a wide mouth"


def test_the_better_of_two_near_copies_stays() -> None:
    hits = [hit(0, LONG), hit(1, LONG.upper() + "!"), hit(2, LONG + " today"), hit(3, "a dam holds the river back")]
    assert [kept.passage.id for kept in without_copies(hits)] == [0, 3]


def test_passages_that_only_share_some_words_all_stay() -> None:
    half = " ".join(LONG.split()[:12])
    hits = [hit(0, LONG), hit(1, half), hit(2, half + " no more than that is known of it in these parts"), hit(3, "")]
    assert [kept.passage.id for kept in without_copies(hits)] == [0, 1, 2, 3]


def test_of_passages_without_words_one_stays() -> None:
    assert [kept.passage.id for kept in without_copies([hit(0, "..."), hit(1, "")])] == [0]
    assert without_copies([]) == []
