import json

from headrace.gateway.ledger.record import decode
from headrace.gateway.ledger.shadow import ShadowRecord, encode_shadow
from tests.support.records import ANSWER

DONE = ShadowRecord(1, "dec_1", "t", "research", "headrace/auto", "r1", "small-model", "ok", ANSWER, 0.9, agrees=False)


def test_a_shadow_is_one_line_with_the_decision_it_mirrors() -> None:
    line = encode_shadow(DONE)
    assert line.endswith(b"}\n")
    told = json.loads(line)
    assert (told["shadow"], told["agrees"], told["confidence"]) == ("dec_1", False, 0.9)
    assert told["attempt"]["cost_microusd"] == ANSWER.cost_microusd


def test_a_shadow_is_no_record_of_a_request() -> None:
    assert decode(encode_shadow(DONE)) is None
