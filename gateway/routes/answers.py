"""The hot routes: chat, completions and embeddings, from a bare exchange to the pipeline. Pure ASGI underneath."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from headrace.contracts.chat import ChatCall
from headrace.gateway.codecs import chat, completions
from headrace.gateway.exchange import Exchange
from headrace.gateway.pipeline import Pipeline
from headrace.gateway.streaming import ChatEvents, Dialect
from headrace.gateway.tools.kinds import ToolKinds

Handler = Callable[[Exchange], Awaitable[None]]

CHAT: Final = Dialect("chat", "chatcmpl", chat.render, ChatEvents)
COMPLETIONS: Final = Dialect("completions", "cmpl", completions.render, completions.CompletionEvents)
OFF_LOOP_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class AnswerRoutes:
    """Handlers that read a call and hand it to the pipeline."""

    pipeline: Pipeline
    kinds: ToolKinds

    async def chat(self, exchange: Exchange) -> None:
        """`POST /v1/chat/completions`."""
        server = self.pipeline.revisions.current.settings.server
        body = await exchange.body(server.max_body_bytes)
        call = await read(body, lambda: chat.read_call(body, kinds=self.kinds, max_depth=server.max_json_depth))
        await self.pipeline.answer(exchange, call, CHAT)

    async def completions(self, exchange: Exchange) -> None:
        """`POST /v1/completions`."""
        server = self.pipeline.revisions.current.settings.server
        body = await exchange.body(server.max_body_bytes)
        call = await read(body, lambda: completions.read_call(body, max_depth=server.max_json_depth))
        await self.pipeline.answer(exchange, call, COMPLETIONS)


async def read(body: bytes, decode: Callable[[], ChatCall]) -> ChatCall:
    """Decode a body; a large one in a thread, so that the loop is not held."""
    if len(body) > OFF_LOOP_BYTES:
        return await asyncio.to_thread(decode)
    return decode()
