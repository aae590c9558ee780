"""`POST /v1/embeddings`: from a bare exchange to the embedding model of the current revision."""

from collections.abc import Callable
from dataclasses import dataclass

from headrace.contracts.errors import InvalidRequest, Overloaded
from headrace.contracts.protocols import Embedder
from headrace.gateway.codecs import embeddings
from headrace.gateway.exchange import Exchange
from headrace.gateway.recorder import Recorder
from headrace.gateway.revisions import Revision, Revisions
from headrace.gateway.routes.listing import unknown_model
from headrace.router.policies.names import known_names


@dataclass(frozen=True, slots=True)
class EmbeddingRoute:
    """Answers embedding requests. wall: seconds since 1970."""

    revisions: Revisions
    recorder: Recorder
    wall: Callable[[], float]

    async def serve(self, exchange: Exchange) -> None:
        """Serve one request."""
        revision = self.revisions.current
        server, wall_s = revision.settings.server, self.wall()
        order = embeddings.read_order(await exchange.body(server.max_body_bytes), max_depth=server.max_json_depth)
        embedder = _embedder(revision, order.call.model)
        async with exchange.leaving():
            result = await embedder.embed(order.call)
        body = embeddings.render(result, model=embedder.card.id, encoding=order.encoding)
        decision = (b"x-headrace-decision", f"dec_{exchange.id_hex}".encode())
        await exchange.respond(200, body, (decision,))
        self.recorder.record_embedding(
            exchange,
            revision.settings,
            asked=order.call.model,
            card=embedder.card,
            prompt_tokens=result.usage.prompt_tokens,
            wall_s=wall_s,
        )


def _embedder(revision: Revision, name: str) -> Embedder:
    """Return the embedding model that the request names, by its id or an alias."""
    wanted = revision.policy.aliases.get(name, name)
    embedder = revision.embedder
    if embedder is None or wanted != embedder.card.id:
        if wanted in known_names(revision.policy):
            raise InvalidRequest(f"the model '{name}' gives no embeddings", param="model", code="unsupported_model")
        raise unknown_model(name)
    if not embedder.is_live():
        raise Overloaded("the embedding model is not ready; try again", retry_after_s=2.0)
    return embedder
