"""Why a file is not taken in: one constructor a reason, each an InvalidRequest with a code that never changes.

Codes: unsupported_file, file_too_large, invalid_file, password_protected, empty_file, timeout, unreadable_file.
"""

from typing import Final, Literal, get_args

from headrace.contracts.errors import InvalidRequest
from headrace.retrieval.ingest.limits import MIB

Code = Literal[
    "unsupported_file",
    "file_too_large",
    "invalid_file",
    "password_protected",
    "empty_file",
    "timeout",
    "unreadable_file",
]
CODES: Final[tuple[Code, ...]] = get_args(Code)


def unsupported(reason: str) -> InvalidRequest:
    """No reader for this content; `reason` says what it is."""
    return InvalidRequest(
        f"{reason}; convert it to text, Markdown, HTML, PDF, DOCX, CSV, JSON or source code", code="unsupported_file"
    )


def too_large(what: str, value: int | str, limit: int | str) -> InvalidRequest:
    """Over a bound of Limits."""
    return InvalidRequest(f"{what} {value}, more than {limit}; split the file", code="file_too_large")


def too_many_bytes(size: int, limit: int) -> InvalidRequest:
    """More bytes than are read at all."""
    return too_large("has", f"{size / MIB:,.1f} MiB", f"{limit / MIB:,.1f} MiB")


def invalid(reason: str) -> InvalidRequest:
    """Damaged, or not what its name says."""
    return InvalidRequest(f"{reason}; save it again from the program that made it", code="invalid_file")


def protected() -> InvalidRequest:
    """Encrypted with a password."""
    return InvalidRequest("is protected by a password; save a copy without one", code="password_protected")


def empty(reason: str = "has no text in it") -> InvalidRequest:
    """Nothing to index."""
    return InvalidRequest(reason, code="empty_file")


def timed_out(seconds: float) -> InvalidRequest:
    """Conversion took too long and was ended."""
    return InvalidRequest(f"took more than {seconds:g} s to convert; split the file", code="timeout")


def unreadable(reason: str) -> InvalidRequest:
    """The operating system does not hand it out."""
    return InvalidRequest(f"cannot be read: {reason}", code="unreadable_file")
