import pytest

from headrace.contracts.protocols import AnswerJudge, Backend, UpstreamCall
from headrace.models.backends.fake import FakeBackend
from tests.support.cascade import ScriptedJudge, backend
from tests.support.routing import call


def test_the_fakes_keep_the_seams() -> None:
    held: tuple[Backend, AnswerJudge] = (backend("small"), ScriptedJudge())
    assert isinstance(held[0], FakeBackend)


def test_an_upstream_call_carries_no_affinity_or_salt_unless_told() -> None:
    made = UpstreamCall(call(), probe=False, deadline=1.0, request_id="req_1")
    assert (made.affinity, made.cache_salt) == ("", "")
    with pytest.raises(AttributeError):
        made.probe = True  # type: ignore[misc]
