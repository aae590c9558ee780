from pathlib import Path

from headrace.gateway.settings.problems import Marks, Place, Problem, nearest, printable, render_path, sort_problems


def test_a_problem_prints_as_file_line_column_path_what_and_cure() -> None:
    problem = Problem(Place(Path("a.yaml"), 3, 7), "tiers[0].id", "bad", "mend it")
    assert str(problem) == "a.yaml:3:7: tiers[0].id: bad; mend it"


def test_a_problem_of_the_whole_file_has_no_path() -> None:
    assert str(Problem(Place(Path("a.yaml")), "", "bad", "mend it")) == "a.yaml:1:1: bad; mend it"


def test_paths_render_with_dots_and_brackets() -> None:
    assert (
        render_path(("virtual_models", "headrace/auto", "select", 2, "use"))
        == "virtual_models.headrace/auto.select[2].use"
    )
    assert render_path(()) == ""


def test_the_nearest_known_word_is_offered_else_all_of_them() -> None:
    assert nearest("ports", ["port", "host"]) == "did you mean 'port'?"
    assert nearest("zzz", ["port", "host"]) == "known here: host, port"
    assert nearest("zzz", []) == "nothing is known here"


def test_control_characters_never_reach_the_terminal() -> None:
    assert printable("a\x1b[31m\nb") == "a?[31m?b"
    assert len(printable("x" * 1000)) == 60


def test_marks_fall_back_to_the_nearest_ancestor() -> None:
    file = Path("a.yaml")
    marks = Marks(file, {("server",): Place(file, 2, 1)}, {("server",): Place(file, 2, 9)})
    assert marks.of_value(("server", "missing", 0)) == Place(file, 2, 9)
    assert marks.of_key(("server",)) == Place(file, 2, 1)
    assert marks.of_key(("other",)) == Place(file, 1, 1)


def test_problems_are_told_once_and_in_the_order_of_the_file() -> None:
    late, early = (Problem(Place(Path("a"), line), "", "w", "c") for line in (9, 2))
    assert sort_problems([late, early, late]) == [early, late]
