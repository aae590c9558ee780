from headrace.models.backends.session import make_session
from tests.support.upstream import Upstream


async def test_a_session_keeps_no_cookies_and_inflates_nothing() -> None:
    async with Upstream() as upstream, make_session() as session:
        async with session.get(f"{upstream.origin}/health") as answer:
            assert answer.status == 200
        assert len(session.cookie_jar) == 0
        assert not session.auto_decompress
