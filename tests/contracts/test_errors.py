import pytest

from headrace.contracts import errors


@pytest.mark.parametrize(
    ("kind", "status", "word"),
    [
        (errors.InvalidRequest, 400, "invalid_request_error"),
        (errors.Unauthenticated, 401, "authentication_error"),
        (errors.Forbidden, 403, "permission_error"),
        (errors.NotFound, 404, "invalid_request_error"),
        (errors.PayloadTooLarge, 413, "invalid_request_error"),
        (errors.RateLimited, 429, "rate_limit_error"),
        (errors.Overloaded, 503, "overloaded_error"),
        (errors.DeadlineExceeded, 504, "timeout_error"),
        (errors.ConfigError, 500, "server_error"),
        (errors.EngineError, 503, "server_error"),
    ],
)
def test_each_branch_has_its_status_and_type(kind: type[errors.HeadraceError], status: int, word: str) -> None:
    raised = kind("what, the value, the cure", param="field", code="a_code", retry_after_s=2.0)
    assert (raised.status, raised.type) == (status, word)
    assert (str(raised), raised.param, raised.code, raised.retry_after_s) == (
        "what, the value, the cure",
        "field",
        "a_code",
        2.0,
    )


@pytest.mark.parametrize(
    ("raised", "status", "kind"),
    [
        (errors.BackendUnavailable("refused"), 503, "unavailable"),
        (errors.BackendTimeout("slow"), 504, "timeout"),
        (errors.BackendProtocol("cut"), 502, "protocol"),
        (errors.BackendStatus("busy", upstream_status=429), 502, "http_429"),
    ],
)
def test_each_upstream_failure_has_the_kind_that_rules_name(
    raised: errors.BackendError, status: int, kind: str
) -> None:
    assert (raised.status, raised.kind) == (status, kind)


def test_a_status_keeps_what_the_upstream_said() -> None:
    raised = errors.BackendStatus("busy", upstream_status=503, retry_after_s=7.0)
    assert (raised.upstream_status, raised.retry_after_s) == (503, 7.0)


def test_everything_stands_in_one_tree() -> None:
    branches = (errors.ConfigError, errors.StoreError, errors.EngineError, errors.RequestError, errors.BackendError)
    assert all(issubclass(branch, errors.HeadraceError) for branch in branches)
