"""What the cascade needs to know about one request beside the call and its plan."""

import msgspec


class RunContext(msgspec.Struct, frozen=True):
    """started and deadline: seconds of the clock the cascade was built with (in production the loop's own).

    request_id: made by the gateway. cache_salt, affinity: opaque, passed on to the backend.
    """

    request_id: str
    started: float
    deadline: float
    cache_salt: str = ""
    affinity: str = ""
