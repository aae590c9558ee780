"""A Backend over one or more OpenAI-compatible endpoints. HTTP only: no process, no policy, no retry of an answer.

The pool of connections is shared by all backends and owned by whoever made it.
"""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import NoReturn

from headrace.contracts.chat import Chunk, Completion
from headrace.contracts.errors import (
    BackendError,
    BackendProtocol,
    BackendStatus,
    BackendUnavailable,
    DeadlineExceeded,
)
from headrace.contracts.models import ModelCard
from headrace.contracts.protocols import UpstreamCall
from headrace.models.backends.answer import Answer, AnswerStream
from headrace.models.backends.balance import BalanceLimits, Balancer
from headrace.models.backends.decode import decode_completion
from headrace.models.backends.encode import EndpointSpec, encode_body
from headrace.models.backends.failures import retry_after, status_error
from headrace.models.backends.usage import Tally
from headrace.models.backends.watchdog import Timeouts
from headrace.models.backends.wire import NoConnection, Pool, Response, Target

MAX_ANSWER_BYTES = 32 * 2**20
_MAX_ERROR_BYTES = 64 * 2**10
_OK, _ERROR = 200, 400
_FULL = frozenset({429, 503})
_ENDPOINT_FAULTS = frozenset({500, 502, 504})
_PATHS = {"chat": "chat/completions", "completions": "completions"}
_numbers = itertools.count(1)


class HttpBackend:
    """One model behind its endpoints; implements contracts.protocols.Backend. Safe to share between tasks.

    upstream_model: the name the endpoints know. is_up: whether the process behind it runs (engines of ours).
    Besides BackendError, a call whose deadline passes raises DeadlineExceeded.
    """

    def __init__(
        self,
        *,
        id: str,  # noqa: A002  (the protocol's own word)
        card: ModelCard,
        endpoints: Sequence[EndpointSpec],
        pool: Pool,
        upstream_model: str,
        timeouts: Timeouts | None = None,
        balance: BalanceLimits | None = None,
        is_up: Callable[[], bool] = lambda: True,
    ) -> None:
        self.id = id
        self.card = card
        self._endpoints = tuple(endpoints)
        self._pool = pool
        self._model = upstream_model
        self._timeouts = timeouts or Timeouts()
        self._balancer = Balancer([endpoint.url for endpoint in endpoints], balance)
        self._is_up = is_up
        self._targets = [
            {name: Target(f"{each.url.rstrip('/')}/{path}", _headers(each)) for name, path in _PATHS.items()}
            for each in endpoints
        ]

    def is_live(self) -> bool:
        """True while the process runs and at least one endpoint takes requests."""
        return self._is_up() and self._balancer.is_live(asyncio.get_running_loop().time())

    async def stream(self, call: UpstreamCall) -> AsyncGenerator[Sequence[Chunk], None]:
        """Yield batches of chunks; the last ends with one chunk without choices that carries the usage."""
        index, answer = await self._open(call, streamed=True)
        try:
            stream = AnswerStream(answer, call.chat, backend=self.id, context_tokens=self.card.context_tokens)
            while batch := await stream.next():
                yield batch
            self._balancer.succeeded(index)
        except BackendError as exc:
            self._note(index, exc)
            raise
        finally:
            answer.close()
            self._balancer.give(index)

    async def complete(self, call: UpstreamCall) -> Completion:
        """Return the whole answer, its usage always set."""
        index, answer = await self._open(call, streamed=False)
        try:
            completion = decode_completion(await answer.body(MAX_ANSWER_BYTES), call.chat.endpoint, self.id)
            completion.usage = Tally(call.chat, self.card.context_tokens).of(completion)
            self._balancer.succeeded(index)
        except BackendError as exc:
            self._note(index, exc)
            raise
        finally:
            answer.close()
            self._balancer.give(index)
        return completion

    async def _open(self, call: UpstreamCall, *, streamed: bool) -> tuple[int, Answer]:
        """Send the request; on a refused connection try each other endpoint once. The endpoint stays taken."""
        tried: frozenset[int] = frozenset()
        while True:
            index = self._balancer.take(call.affinity, asyncio.get_running_loop().time(), without=tried)
            tried |= {index}
            answer = None
            try:
                answer = await self._send(index, call, streamed=streamed)
            except BackendError as exc:
                self._note(index, exc)
                if not isinstance(exc.__cause__, NoConnection) or len(tried) == len(self._endpoints):
                    raise
            else:
                return index, answer
            finally:
                if answer is None:
                    self._balancer.give(index)

    async def _send(self, index: int, call: UpstreamCall, *, streamed: bool) -> Answer:
        """Send the request and return the answer once its status is known to be good.

        A kept-alive connection that dies without a byte of an answer was dead before: that is no failure of the
        endpoint, so the request goes out once more on a fresh one.
        """
        body = encode_body(call, model=self._model, kind=self._endpoints[index].kind, streamed=streamed)
        target = self._targets[index][call.chat.endpoint]
        # An engine refuses an id that is still running: a second attempt of one request needs its own.
        request = target.request(body, f"{call.request_id}-{next(_numbers):x}")
        connection = self._pool.idle(target) or await self._connect(target, call)
        answer = self._answer_on(connection, call, streamed=streamed)
        is_open = False
        try:
            try:
                await answer.start(request)
            except BackendUnavailable:
                answer.close()
                if not connection.was_used:
                    raise
                answer = self._answer_on(await self._connect(target, call), call, streamed=streamed)
                await answer.start(request)
            if answer.status != _OK:
                await self._refuse(answer)
            is_open = True
        finally:
            if not is_open:
                answer.close()
        return answer

    async def _connect(self, target: Target, call: UpstreamCall) -> Response:
        """Return a fresh connection."""
        left_s = max(call.deadline - asyncio.get_running_loop().time(), 0.0)
        try:
            return await self._pool.connect(target, within_s=left_s)
        except NoConnection as exc:
            if asyncio.get_running_loop().time() >= call.deadline:
                raise DeadlineExceeded(f"backend {self.id!r}: the deadline passed before it was connected") from exc
            raise BackendUnavailable(f"backend {self.id!r}: {exc}; is its address right?") from exc

    def _answer_on(self, connection: Response, call: UpstreamCall, *, streamed: bool) -> Answer:
        now = asyncio.get_running_loop().time()
        return Answer(
            connection,
            backend=self.id,
            timeouts=self._timeouts,
            first_byte_s=self._timeouts.first_byte_s if streamed else max(call.deadline - now, 0.0),
            since=now,
            deadline=call.deadline,
        )

    async def _refuse(self, answer: Answer) -> NoReturn:
        """Raise what a status other than 200 means."""
        if answer.status < _ERROR:
            raise BackendProtocol(f"backend {self.id!r} answered {answer.status}; name the URL that answers itself")
        try:
            body = await answer.body(_MAX_ERROR_BYTES)
        except BackendError:
            body = b""
        raise status_error(self.id, answer.status, body, retry_after_s=retry_after(answer.headers))

    def _note(self, index: int, exc: BackendError) -> None:
        """Tell the balancer what the failure says about the endpoint; a refused request says nothing bad."""
        now = asyncio.get_running_loop().time()
        if not isinstance(exc, BackendStatus) or exc.upstream_status in _ENDPOINT_FAULTS:
            self._balancer.failed(index, now)
        elif exc.upstream_status in _FULL:
            self._balancer.busy(index, now, exc.retry_after_s)


def _headers(endpoint: EndpointSpec) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
    if endpoint.api_key:
        headers["Authorization"] = f"Bearer {endpoint.api_key}"
    return headers
