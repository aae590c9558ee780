"""`POST /v1/headrace/feedback`: what somebody thinks of an answer, kept in the ledger beside its decision."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from headrace.contracts.errors import NotFound
from headrace.contracts.feedback import Feedback
from headrace.gateway import strict
from headrace.gateway.exchange import Exchange
from headrace.gateway.ledger.feedback import VERSION
from headrace.gateway.revisions import Revisions
from headrace.gateway.routes.rare import FindDecision

MAX_COMMENT: Final = 2_000


class FeedbackRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body. score: from 0 (useless) to 1 (right)."""

    decision: Annotated[str, Meta(min_length=1, max_length=64)]
    score: Annotated[float, Meta(ge=0.0, le=1.0)]
    comment: Annotated[str, Meta(max_length=MAX_COMMENT)] | None = None


@dataclass(frozen=True, slots=True)
class FeedbackRoute:
    """Takes feedback on the caller's own decisions. keep: queues it for the ledger; wall: seconds since 1970."""

    revisions: Revisions
    find_decision: FindDecision
    keep: Callable[[Feedback], None]
    wall: Callable[[], float]

    async def serve(self, exchange: Exchange) -> None:
        """Serve one request; 404 for a decision that is not on record or not of this tenant."""
        server = self.revisions.current.settings.server
        body = await exchange.body(server.max_body_bytes)
        asked = strict.decode(body, _REQUEST, max_depth=server.max_json_depth)
        who = exchange.principal
        if await self.find_decision(asked.decision, who.tenant) is None:
            raise NotFound(f"no decision '{asked.decision}' is on record", param="decision", code="decision_not_found")
        now = datetime.fromtimestamp(self.wall(), UTC).isoformat(timespec="milliseconds")
        self.keep(Feedback(VERSION, asked.decision, now, who.key_id, who.tenant, asked.score, asked.comment or ""))
        answer = {"object": "headrace.feedback", "decision": asked.decision, "score": asked.score, "time": now}
        await exchange.respond(200, msgspec.json.encode(answer))


_REQUEST: Final = msgspec.json.Decoder(FeedbackRequest)
