"""Uploaded files: a form's fields to what is asked for, and records back as OpenAI's file objects. Pure."""

from collections.abc import Mapping
from typing import Final, Literal, cast
from urllib.parse import quote

import msgspec

from headrace.contracts.chat import JsonObject
from headrace.contracts.errors import InvalidRequest
from headrace.retrieval.library.records import FileRecord, Purpose

PURPOSES: Final = ("assistants", "user_data")
SHORTEST_S: Final = 3_600
LONGEST_S: Final = 2_592_000
_ANCHOR: Final = "expires_after[anchor]"
_SECONDS: Final = "expires_after[seconds]"
_KNOWN: Final = frozenset({"purpose", _ANCHOR, _SECONDS})


class UploadOrder(msgspec.Struct, frozen=True):
    """What is asked for a file. expires_s: it is gone so long after it came; None: it stays."""

    purpose: Purpose
    expires_s: int | None


def read_upload(fields: Mapping[str, str]) -> UploadOrder:
    """Return what the fields of an upload mean; InvalidRequest names the one that is wrong."""
    for name in fields.keys() - _KNOWN:
        shown = name[:100]
        raise InvalidRequest(f"Unrecognized request argument supplied: {shown}", param=shown, code="unknown_parameter")
    if "purpose" not in fields:
        raise InvalidRequest(
            "missing required parameter: 'purpose'", param="purpose", code="missing_required_parameter"
        )
    if fields["purpose"] not in PURPOSES:
        raise InvalidRequest(
            f"invalid 'purpose': '{fields['purpose'][:64]}' is not served here; expected one of {', '.join(PURPOSES)}",
            param="purpose",
            code="invalid_value",
        )
    return UploadOrder(cast("Literal['assistants', 'user_data']", fields["purpose"]), _expiry(fields))


def render_file(record: FileRecord) -> JsonObject:
    """Return OpenAI's file object."""
    return {
        "id": record.id,
        "object": "file",
        "bytes": record.bytes,
        "created_at": record.created,
        "expires_at": record.expires,
        "filename": record.name,
        "purpose": record.purpose,
        "status": "processed",
        "status_details": None,
    }


def download_headers(record: FileRecord) -> list[tuple[bytes, bytes]]:
    """Return headers under which no browser runs or shows what somebody uploaded."""
    plain = "".join(char if (char.isascii() and char.isalnum()) or char in "._- " else "_" for char in record.name)
    named = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(record.name, safe='')}"
    return [
        (b"content-type", b"application/octet-stream"),
        (b"content-length", str(record.bytes).encode()),
        (b"content-disposition", named.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", b"default-src 'none'; sandbox"),
        (b"cache-control", b"private, no-store"),
    ]


def _expiry(fields: Mapping[str, str]) -> int | None:
    anchor, seconds = fields.get(_ANCHOR), fields.get(_SECONDS)
    if anchor is None and seconds is None:
        return None
    if anchor != "created_at":
        raise InvalidRequest(f"invalid '{_ANCHOR}': expected created_at", param="expires_after", code="invalid_value")
    if not (seconds and seconds.isascii() and seconds.isdigit() and SHORTEST_S <= int(seconds) <= LONGEST_S):
        raise InvalidRequest(
            f"invalid '{_SECONDS}': expected a whole number from {SHORTEST_S} to {LONGEST_S}",
            param="expires_after",
            code="invalid_value",
        )
    return int(seconds)
