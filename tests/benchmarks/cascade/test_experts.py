import numpy as np

from benchmarks.cascade.experts import gate, mean_costs, mean_rights, mean_rights_by_subject, vote
from benchmarks.cascade.record import words
from tests.support.recorded import answers

FALSE, TRUE = np.array([False]), np.array([True])


def test_the_gate_weighs_quality_against_cost() -> None:
    predicted, cost = np.array([[0.9, 0.8, 0.1]]), np.array([[1.0, 0.1, 0.0]])
    assert gate(predicted, cost, 0.0, 2).tolist() == [[0, 1]]
    assert gate(predicted, cost, 0.5, 2).tolist() == [[1, 0]]


def test_the_majority_wins_and_every_expert_is_paid() -> None:
    models = [
        answers(FALSE, cost=1.0, said=["7"]),
        answers(TRUE, cost=2.0, said=["8"]),
        answers(TRUE, cost=3.0, said=["8"]),
    ]
    found = vote(models, np.array([[0, 1, 2]]))
    assert (found.right[0], found.cost[0], found.kept[0]) == (1.0, 6.0, True)


def test_ties_go_to_the_best_predicted_and_silence_has_no_vote() -> None:
    models = [answers(TRUE, cost=1.0, said=["7"]), answers(FALSE, cost=1.0, said=["8"])]
    assert vote(models, np.array([[0, 1]])).right[0] == 1.0
    assert vote(models, np.array([[1, 0]])).right[0] == 0.0
    silent = [answers(FALSE, cost=1.0, said=[None]), answers(FALSE, cost=1.0, said=[None]), models[0]]
    assert vote(silent, np.array([[0, 1, 2]])).right[0] == 1.0


def test_what_a_gate_knows_comes_from_the_other_folds() -> None:
    fold = np.arange(5)
    models = [answers(np.arange(5) == 0, cost=1.0), answers(np.arange(5) > 0, cost=4.0)]
    assert mean_rights(models, fold)[0].tolist() == [0.0, 1.0]
    assert mean_costs(models, fold)[0].tolist() == [0.25, 1.0]
    subjects = words(["sums", "sums", "words", "words", "words"])
    assert mean_rights_by_subject(models, fold, subjects)[1].tolist() == [1.0, 0.0]
