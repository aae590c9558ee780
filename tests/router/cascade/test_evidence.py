from headrace.contracts.chat import Choice, ChunkChoice, JsonObject, Logprobs, TokenLogprob
from headrace.router.cascade.evidence import Evidence, answer_evidence, reasoning_text


def entries(*pairs: tuple[str, float]) -> Logprobs:
    return Logprobs(content=[TokenLogprob(token, logprob) for token, logprob in pairs])


def chunk(delta: JsonObject, *pairs: tuple[str, float]) -> ChunkChoice:
    return ChunkChoice(delta=delta, logprobs=entries(*pairs))


def test_every_entry_of_a_text_counts_however_it_is_chunked() -> None:
    one, many = Evidence(json=False), Evidence(json=False)
    assert one.add(chunk({"content": "ab"}, ("a", -1.0), ("b", -2.0))) == 2
    assert many.add(chunk({"content": "a"}, ("a", -1.0))) == 1
    many.add(chunk({"content": ""}, ("b", -2.0)))
    assert one.values == many.values == [-1.0, -2.0]


def test_a_chunk_without_entries_is_no_evidence() -> None:
    evidence = Evidence(json=False)
    assert evidence.add(ChunkChoice(delta={"content": "text"})) == 0
    assert evidence.add(ChunkChoice(delta={"content": "text"}, logprobs=Logprobs(content=None))) == 0


def test_reasoning_is_no_evidence_under_either_name() -> None:
    for name in ("reasoning", "reasoning_content"):
        evidence = Evidence(json=False)
        evidence.add(chunk({name: "hmm"}, ("hmm", -5.0)))
        evidence.add(chunk({name: "so", "content": "Paris"}, ("so", -5.0), ("Paris", -1.0)))
        assert evidence.values == [-1.0]
        assert reasoning_text({name: "hmm"}) == "hmm"


def test_of_a_whole_answer_only_the_tokens_after_the_reasoning_count() -> None:
    message = {"reasoning": "hmm", "content": "\nParis."}
    choice = Choice(
        message=message, logprobs=entries(("hmm", -5.0), ("</think>", -5.0), ("\n", -5.0), ("Par", -1.0), ("is.", -2.0))
    )
    assert answer_evidence(choice, json=False) == [-1.0, -2.0]


def test_of_json_only_tokens_with_values_count() -> None:
    pieces = (
        ('{"', -4.0),
        ("name", -4.0),
        ('": "', -4.0),
        ("Ann", -1.0),
        ('", "', -4.0),
        ("age", -4.0),
        ('":', -4.0),
        ("7", -2.0),
        ("}", -4.0),
    )
    text = "".join(token for token, _ in pieces)
    whole = answer_evidence(Choice(message={"content": text}, logprobs=entries(*pieces)), json=True)
    running = Evidence(json=True)
    for piece in pieces:
        running.add(chunk({"content": piece[0]}, piece))
    assert whole == running.values == [-1.0, -2.0]


def test_a_value_the_grammar_left_no_choice_for_is_no_evidence_in_json() -> None:
    pieces = (('{"a": "', -4.0), ("only", 0.0), ('"}', 0.0))
    assert answer_evidence(Choice(message={"content": ""}, logprobs=entries(*pieces)), json=True) == []
    assert answer_evidence(Choice(message={"content": ""}, logprobs=entries(*pieces)), json=False) == [-4.0, 0.0, 0.0]


def test_of_a_tool_call_the_argument_values_count_and_so_does_the_text_before_it() -> None:
    message = {"content": "So ", "tool_calls": [{"function": {"name": "f", "arguments": '{"a": 1}'}}]}
    pieces = (
        ("So ", -1.0),
        ("<tool_call>", -5.0),
        ('{"a"', -5.0),
        (": ", -5.0),
        ("1", -2.0),
        ("}", -5.0),
        ("</tool_call>", -5.0),
    )
    assert answer_evidence(Choice(message=message, logprobs=entries(*pieces)), json=False) == [-1.0, -2.0]


def test_an_answer_without_logprobs_has_no_evidence() -> None:
    assert answer_evidence(Choice(message={"content": "x"}), json=False) == []
