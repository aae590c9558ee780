from collections.abc import Mapping

from headrace.contracts.chat import ChatCall, Message
from headrace.contracts.principal import ANONYMOUS
from headrace.contracts.routing import Difficulty
from headrace.router.features import estimate_tokens, extract, guess_language, judged_text


class Recorder:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def judge(self, text: str) -> Difficulty:
        self.seen.append(text)
        return Difficulty(value=0.25, domain="maths", unfamiliar=True)


def call(*turns: tuple[str, str], **fields: object) -> ChatCall:
    messages = tuple(Message(role, text) for role, text in turns)
    return ChatCall(model="headrace/auto", endpoint="chat", messages=messages, wire={}, **fields)  # type: ignore[arg-type]


PLAN = "Migrate the billing database to the new schema without losing a single invoice, step by step please."


def test_every_signal_of_a_request_is_filled() -> None:
    features = extract(
        call(
            ("user", "What is 2 + 2?"),
            tools=({"type": "function"},),
            response_format={"type": "json_object"},
            metadata={"team": "a"},
        ),
        Recorder(),
        principal=ANONYMOUS,
        headers={"x-team": "b"},
    )
    assert (features.difficulty, features.domain, features.unfamiliar) == (0.25, "maths", True)
    assert (features.turns, features.tools, features.json, features.language) == (1, True, True, "en")
    assert (features.key, features.tenant) == ("anonymous", "default")
    assert (features.metadata, features.headers) == ({"team": "a"}, {"x-team": "b"})


def test_quality_is_predicted_from_the_judged_text_where_a_rule_asks() -> None:
    asked, seen = call(("system", "Be brief."), ("user", PLAN)), []

    def quality(text: str, domain: str) -> Mapping[str, float]:
        seen.append((text, domain))
        return {"near": 0.25, "far": 0.75}

    features = extract(asked, Recorder(), principal=ANONYMOUS, headers={}, quality=quality)
    assert features.quality == {"near": 0.25, "far": 0.75}
    assert seen == [(PLAN, features.domain)]


def test_no_quality_is_predicted_where_no_rule_asks() -> None:
    assert extract(call(("user", PLAN)), Recorder(), principal=ANONYMOUS, headers={}).quality == {}


def test_the_last_user_turn_is_judged() -> None:
    asked = call(("system", "Be brief."), ("user", "first"), ("assistant", "ok"), ("user", PLAN))
    assert judged_text(asked) == PLAN


def test_a_short_reply_is_judged_with_what_it_agrees_to() -> None:
    text = judged_text(call(("user", "How do we move?"), ("assistant", PLAN), ("user", "yes, do it")))
    assert PLAN in text
    assert "How do we move?" in text
    assert text.endswith("yes, do it")


def test_the_context_of_a_short_reply_is_bounded() -> None:
    text = judged_text(call(("user", "x" * 90_000), ("assistant", "y" * 90_000), ("user", "go on")))
    assert len(text) < 3_000


def test_a_short_first_question_stands_alone() -> None:
    assert judged_text(call(("system", "Be brief."), ("user", "Hi!"))) == "Hi!"


def test_a_call_without_a_user_turn_is_judged_by_its_last_message() -> None:
    assert judged_text(call(("system", PLAN))) == PLAN
    assert judged_text(call()) == ""


def test_the_token_estimate_grows_with_all_that_is_sent() -> None:
    plain = estimate_tokens(call(("user", "word " * 300)))
    assert 300 < plain < 800
    assert estimate_tokens(call(("user", "word " * 300), tools=({"description": "d" * 600},))) > plain + 190
    schema = {"type": "json_schema", "json_schema": {"name": "n" * 300}}
    assert estimate_tokens(call(("user", "word " * 300), response_format=schema)) > plain + 90


def test_wide_characters_are_counted_dear() -> None:
    assert estimate_tokens(call(("user", "法" * 100))) >= 300


def test_the_language_is_guessed_from_script_and_frequent_words() -> None:
    assert guess_language("What is the capital of France?") == "en"
    assert guess_language("Was ist die Hauptstadt von Frankreich und warum?") == "de"
    assert guess_language("Quelle est la capitale de la France ?") == "fr"
    assert guess_language("¿Cuál es la capital de Francia?") == "es"
    assert guess_language("法国的首都是哪里") == "zh"
    assert guess_language("フランスの首都はどこですか") == "ja"
    assert guess_language("Столица Франции") == "ru"
    assert guess_language("12345 + 1") == "und"
    assert guess_language("") == "und"


def test_marks_of_every_kind_stand_between_words_and_a_few_foreign_letters_tell_no_script() -> None:
    assert guess_language("«¿Cuál» “es” „la„ capital,de(Francia)?") == "es"
    assert guess_language("“Was”—ist das*und*warum") == "de"
    assert guess_language("What does the sign 法 on that door mean to you?") == "en"
    assert guess_language("a lone \ud800 surrogate is in the text") == "en"
