import json
from pathlib import Path

import pytest

from headrace.contracts.errors import ConfigError
from headrace.contracts.routing import Difficulty
from headrace.router.difficulty.model import load
from headrace.router.training.held_out import PACKAGED, held_out, write_held_out
from headrace.router.training.table import Entry, read_table


class Served:
    def judge(self, text: str) -> Difficulty:
        return Difficulty(0.5, f"served {text}", unfamiliar=False)


def entry(name: str, text: str) -> Entry:
    return Entry(name, "fact", text, as_json=False, origin="", license="", answers={})


def test_a_question_that_was_learned_from_is_judged_apart_all_others_as_served(tmp_path: Path) -> None:
    path = tmp_path / "held_out.json"
    write_held_out(path, {"a": Difficulty(0.25, "maths", unfamiliar=True)}, artefact="abc")
    model = held_out(Served(), "abc", [entry("a", " one?\n"), entry("b", "two?")], path)
    assert model.judge("one?") == Difficulty(0.25, "maths", unfamiliar=True)
    assert model.judge("two?").domain == "served two?"


def test_the_packaged_file_belongs_to_the_packaged_artefact_and_covers_the_calibration_split() -> None:
    served = load()
    entries = [one for one in read_table(split="calibration") if not one.as_json]
    model = held_out(served, served.sha256, entries)
    assert set(model.known) == {one.text.strip() for one in entries}
    assert not {one.question_id for one in read_table(split="test")} & set(
        json.loads(PACKAGED.read_text())["questions"]
    )


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("{", "no readable held-out judgements"),
        ("[]", "no readable held-out judgements"),
        (
            '{"format": "headrace-held-out", "artefact": "other", "questions": {}}',
            "belongs to difficulty artefact other",
        ),
        ('{"format": "headrace-held-out", "artefact": "abc", "questions": {"a": [1]}}', "no readable held-out"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused_with_the_cure(tmp_path: Path, content: str, what: str) -> None:
    path = tmp_path / "held_out.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=rf"{what}.*hold-out`"):
        held_out(Served(), "abc", [entry("a", "one?")], path)
    with pytest.raises(ConfigError, match="none: no readable"):
        held_out(Served(), "abc", [], tmp_path / "none")
