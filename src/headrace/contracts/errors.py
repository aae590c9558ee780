"""One tree of errors. Raised where a thing is known, translated at the seam, rendered only at the edge.

HeadraceError
├── ConfigError                 a file the operator wrote (file:line and the cure)
├── SetupError                  this machine lacks something, or a build step failed (what and the cure)
├── StoreError                  model store: fetch, hash, disk, lock
├── EngineError                 an engine process that does not start or has died for good
├── RequestError                the caller's mistake, 4xx
│   ├── InvalidRequest          400
│   ├── Unauthenticated         401
│   ├── Forbidden               403
│   ├── NotFound                404
│   ├── PayloadTooLarge         413
│   └── RateLimited             429
├── Overloaded                  503 with Retry-After
├── DeadlineExceeded            504
└── BackendError                an upstream attempt that failed; has a `kind` that on_failure rules name
    ├── BackendUnavailable      refused, reset, DNS, no live endpoint        kind "unavailable"
    ├── BackendTimeout          no byte, or no next byte, in time            kind "timeout"
    ├── BackendStatus           an HTTP status >= 400                        kind "http_<status>"
    └── BackendProtocol         what came back is not the promised format    kind "protocol"
"""

from typing import ClassVar


class HeadraceError(Exception):
    """Root of the tree. `str(error)` is safe to show to the person named by the branch."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s


class ConfigError(HeadraceError):
    """A bad value in an operator's file; the message starts with `file:line:` where the place is known."""


class SetupError(HeadraceError):
    """This machine lacks something that setup needs, or a step of it failed."""


class StoreError(HeadraceError):
    """The model store could not fetch, verify or publish an artefact."""


class EngineError(HeadraceError):
    """An engine or worker process did not become ready, or is down for good."""

    status = 503


class RequestError(HeadraceError):
    """The caller's mistake."""

    status = 400
    type = "invalid_request_error"


class InvalidRequest(RequestError):
    """A field is missing, malformed, out of bounds or not supported by any tier."""


class Unauthenticated(RequestError):
    """No key, or a key nobody issued."""

    status = 401
    type = "authentication_error"


class Forbidden(RequestError):
    """The key is known but may not do this."""

    status = 403
    type = "permission_error"


class NotFound(RequestError):
    """No such model, route or object for this caller."""

    status = 404


class PayloadTooLarge(RequestError):
    """The body is over a limit."""

    status = 413


class RateLimited(RequestError):
    """Over a rate or a budget."""

    status = 429
    type = "rate_limit_error"


class Overloaded(HeadraceError):
    """A tier's queue is full or nothing is ready; try again later."""

    status = 503
    type = "overloaded_error"


class DeadlineExceeded(HeadraceError):
    """The request's own deadline passed."""

    status = 504
    type = "timeout_error"


class BackendError(HeadraceError):
    """An upstream attempt failed. `kind` is the word an `on_failure` rule names."""

    status = 502
    kind: str = "unavailable"


class BackendUnavailable(BackendError):
    """Connection refused or reset, DNS failure, or no live endpoint."""

    status = 503


class BackendTimeout(BackendError):
    """No byte, or no next byte, within the bound."""

    status = 504
    kind = "timeout"


class BackendStatus(BackendError):
    """The upstream answered with an error status; `upstream_status` and a cleaned message are kept."""

    def __init__(self, message: str, *, upstream_status: int, retry_after_s: float | None = None) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.upstream_status = upstream_status
        self.kind = f"http_{upstream_status}"


class BackendProtocol(BackendError):
    """The upstream's bytes are not the promised format, or the answer was cut short."""

    kind = "protocol"
