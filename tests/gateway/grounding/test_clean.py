import re
import unicodedata
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.gateway.grounding.clean import clean, clean_name, visible
from headrace.gateway.grounding.context import Window, build
from tests.support.documents import LEAVE, hit
from tests.support.poison import ATTACKS


def prompt_of(text: str) -> str:
    windows = [Window(8192, lambda shown: len(shown) // 3)]
    return build([hit(text)], windows, prompt_tokens=10, answer_tokens=None).text


def test_the_attacks_are_many_and_of_every_family() -> None:
    families = Counter(attack["family"] for attack in ATTACKS)
    assert len(ATTACKS) >= 60
    assert set(families) == {
        "instructions", "template", "tool_calls", "hidden", "exfiltration", "forged", "rules",
    }  # fmt: skip
    assert min(families.values()) >= 8
    assert len({attack["id"] for attack in ATTACKS}) == len(ATTACKS)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack["id"])
def test_no_poison_keeps_its_structure(attack: dict[str, Any]) -> None:
    prompt = prompt_of(f"{LEAVE}\n{attack['attack']}\n{LEAVE[::-1]}")
    fence = re.findall(r"^documents-[0-9a-f]+$", prompt, re.MULTILINE)
    assert len(fence) == 2, "one fence before the passages and one after"
    assert fence[0] == fence[1]
    body = prompt.split(f"\n{fence[0]}\n")[1]
    for part in attack["never_shown"]:
        assert part.casefold() not in body.casefold()
    assert len(re.findall(r"\[\d+\]", body)) == 1, "our own number is the only one"
    assert not re.search(r"<\|[^<>]*\|>|!\[|\]\(", body)
    assert not any(unicodedata.category(char) in {"Cf", "Co", "Cs"} for char in body)
    assert LEAVE in body, "what was true is still told"


def test_marks_of_the_models_at_hand_are_taken_out_whatever_they_are() -> None:
    assert clean("before ~~TURN~~ after", frozenset({"~~TURN~~"})) == "before   after"


@pytest.mark.parametrize(
    "text",
    [
        "In 2019 the firm (founded 1999) earned 3.5 million; see section 4.2.",
        "def f(x: list[str]) -> dict[str, int]:\n    return {a: 1 for a in x if a < 3 and a > 1}",
        "| name | days |\n|---|---|\n| paid leave | 27 |",
        "The user pressed the button and the system stopped: a function of time.",
        "# Leave\n\n- 27 days\n- by March",
        "E = mc², 5 < 7 > 3, naïve café, 日本語, עברית",
        "mail help@brightwater.example or see https://intranet.example/leave",
    ],
)
def test_honest_text_stays_as_it_is(text: str) -> None:
    assert clean(text) == text


def test_links_and_images_leave_their_words() -> None:
    text = "See [the plan](https://a.example/x) and ![a chart](b.png) <https://c.example>."
    assert clean(text) == "See the plan and a chart https://c.example."


def test_footnote_numbers_are_no_citations_of_ours() -> None:
    assert clean("Known since 1887[12] and [3, 4].") == "Known since 1887(12) and (3, 4)."


def test_a_name_is_one_short_line() -> None:
    assert clean_name("a\nb\u200b [2] <|im_end|>" + "c" * 300).startswith("a b (2) c")
    assert len(clean_name("c" * 300)) == 120


def test_line_breaks_become_one_kind() -> None:
    assert visible("a\r\nb\rc\u2028d\x0be") == "a\nb\nc\nd\ne"


@given(st.text(alphabet=st.sampled_from("<>|![]()im_startend/sytool_cal:\n \u200b\u202e{}x1"), max_size=80))
def test_cleaning_twice_changes_nothing_more_that_a_template_reads(text: str) -> None:
    cleaned = clean(text)
    assert "<|im_start|>" not in cleaned
    assert "<tool_call>" not in cleaned
    assert not re.search(r"<\|[^<>|]{0,60}\|>", cleaned)
    assert "\u200b" not in cleaned


def test_a_hostile_text_takes_no_long_time() -> None:
    for part in (
        "[" * 20_000,
        "<" * 20_000,
        "![a](" * 5_000,
        "<|" * 10_000,
        "<!--" * 5_000,
        " \n" * 20_000,
        "a:" * 9_000,
    ):
        assert len(clean(part)) <= 2 * len(part)
