from pathlib import Path

import msgspec
import pytest

from headrace.contracts.feedback import Feedback
from headrace.gateway.ledger import reader
from tests.support.gateway import Running, ask

PATH = "/v1/headrace/feedback"


def said_in(folder: Path) -> list[Feedback]:
    lines = (line for path in folder.glob("*.jsonl") for line in path.read_bytes().splitlines())
    return [msgspec.json.decode(line, type=Feedback) for line in lines if b'"feedback"' in line]


async def test_feedback_on_an_answer_is_found_in_the_ledger(gateway: Running) -> None:
    _, _, headers = await gateway.post("/v1/chat/completions", ask())
    decision = headers["x-headrace-decision"]
    status, body, _ = await gateway.post(PATH, {"decision": decision, "score": 0.25, "comment": "it missed the point"})
    assert (status, body["object"], body["decision"], body["score"]) == (200, "headrace.feedback", decision, 0.25)
    await gateway.system.stop()
    (said,) = said_in(gateway.settings.ledger.folder)
    assert (said.feedback, said.score, said.comment) == (decision, 0.25, "it missed the point")
    assert [record["decision"] for record in reader.read(gateway.settings.ledger.folder)] == [decision]


async def test_feedback_on_an_unknown_decision_is_404(gateway: Running) -> None:
    status, body, _ = await gateway.post(PATH, {"decision": "dec_unknown", "score": 1})
    assert (status, body["error"]["code"], body["error"]["param"]) == (404, "decision_not_found", "decision")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"score": 1}, "decision"),
        ({"decision": "dec_1"}, "score"),
        ({"decision": "dec_1", "score": 1.5}, "score"),
        ({"decision": "dec_1", "score": "good"}, "score"),
        ({"decision": "dec_1", "score": 1, "comment": "x" * 2_001}, "comment"),
        ({"decision": "dec_1", "score": 1, "stars": 5}, "stars"),
    ],
)
async def test_bad_feedback_names_its_field(gateway: Running, body: dict[str, object], param: str) -> None:
    status, answer, _ = await gateway.post(PATH, body)
    assert (status, answer["error"]["param"]) == (400, param)


async def test_feedback_is_posted(gateway: Running) -> None:
    status, _, headers = await gateway.get(PATH)
    assert (status, headers["allow"]) == (405, "POST")
