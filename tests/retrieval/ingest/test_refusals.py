import pytest

from headrace.contracts.errors import InvalidRequest
from headrace.retrieval.ingest import refusals


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (refusals.unsupported("is a zip archive"), "unsupported_file"),
        (refusals.too_many_bytes(3 << 20, 2 << 20), "file_too_large"),
        (refusals.invalid("is damaged"), "invalid_file"),
        (refusals.protected(), "password_protected"),
        (refusals.empty(), "empty_file"),
        (refusals.timed_out(2.5), "timeout"),
        (refusals.unreadable("Permission denied"), "unreadable_file"),
    ],
)
def test_each_reason_has_its_code(error: InvalidRequest, code: str) -> None:
    assert error.code == code
    assert code in refusals.CODES


def test_the_value_the_limit_and_the_cure_are_said() -> None:
    assert str(refusals.too_many_bytes(3 << 20, 2 << 20)) == "has 3.0 MiB, more than 2.0 MiB; split the file"
