"""A multipart form with one file in it, read while it arrives: the file goes to its sink, nothing is held whole.

Knows bounds and the format; what the fields mean is the codec's.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from headrace.contracts.errors import InvalidRequest, PayloadTooLarge
from headrace.gateway.exchange import BODY_TIMEOUT_S, ClientLeft, Exchange, RequestTimeout, too_large

MAX_PARTS: Final = 16
MAX_HEADERS: Final = 8
MAX_HEADER_BYTES: Final = 4_096
MAX_FIELD_BYTES: Final = 1_024
FORM_BYTES: Final = 65_536  # of everything in a form but the file
SLOWEST_BYTES_S: Final = 10_000
_STEP: Final = 65_536
_BATCH: Final = 1_048_576
_FILE: Final = "file"

# The parser warns with words of the body: those are logged nowhere.
_SILENT: Final = logging.Logger("headrace.multipart", logging.CRITICAL + 1)  # noqa: LOG001  (outside the tree)


class Sink(Protocol):
    """Where the bytes of the file go. Blocking; called on threads, one call at a time."""

    def write(self, data: bytes) -> None:
        """Keep some bytes; PayloadTooLarge where they are too many."""
        ...


@dataclass(frozen=True, slots=True)
class Form:
    """What came beside the file's bytes: its name as the client gave it, and the other fields."""

    filename: str
    fields: dict[str, str]


async def receive_form(exchange: Exchange, sink: Sink, *, file_limit: int) -> Form:
    """Read the body of a request; InvalidRequest where it is no form with one file, PayloadTooLarge past the limit."""
    reading = _Reading()
    parser = _parser(exchange, reading)
    async for piece in _pieces(exchange, file_limit + FORM_BYTES):
        for start in range(0, len(piece), _STEP):
            _feed(parser, piece[start : start + _STEP])
            if len(reading.file) >= _BATCH:
                await asyncio.to_thread(sink.write, reading.take())
    if reading.file:
        await asyncio.to_thread(sink.write, reading.take())
    return reading.form()


def _parser(exchange: Exchange, reading: "_Reading") -> MultipartParser:
    exchange.check_coding()
    kind, options = parse_options_header(exchange.header(b"content-type"))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise InvalidRequest(
            "the body must be a form with a file: send 'content-type: multipart/form-data'", code="invalid_content_type"
        )
    try:
        parser = MultipartParser(
            boundary, reading.callbacks(), max_header_count=MAX_HEADERS, max_header_size=MAX_HEADER_BYTES
        )
    except FormParserError as exc:
        raise InvalidRequest("the form's boundary is too long", code="invalid_content_type") from exc
    parser.logger = _SILENT
    return parser


def _feed(parser: MultipartParser, data: bytes) -> None:
    try:
        parser.write(data)
    except FormParserError as exc:
        raise InvalidRequest("the form is malformed: its parts or their headers cannot be told apart") from exc


async def _pieces(exchange: Exchange, limit: int) -> AsyncIterator[bytes]:
    """Yield the body as it arrives, refusing one that is too large or too slow."""
    length = exchange.header(b"content-length")
    if length is not None and int(length) > limit:
        raise too_large(limit)
    deadline = asyncio.get_running_loop().time() + BODY_TIMEOUT_S
    taken = 0
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                message = await exchange.receive()
        except TimeoutError as exc:
            raise RequestTimeout(f"the body came at less than {SLOWEST_BYTES_S} bytes a second") from exc
        if message["type"] == "http.disconnect":
            raise ClientLeft
        body: bytes = message["body"]
        taken += len(body)
        if taken > limit:
            raise too_large(limit)
        yield body
        if not message.get("more_body"):
            return
        deadline += len(body) / SLOWEST_BYTES_S


@dataclass(slots=True)
class _Reading:
    """What the parser has found so far."""

    file: bytearray = field(default_factory=bytearray)
    _fields: dict[str, bytearray] = field(default_factory=dict)
    _filename: str | None = None
    _parts: int = 0
    _has_ended: bool = False
    _header: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)
    _disposition: bytes = b""
    _target: bytearray | None = None

    def callbacks(self) -> Any:  # noqa: ANN401  (the parser's own typed dictionary)
        return {
            "on_part_begin": self._on_part,
            "on_header_begin": self._on_header,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers,
            "on_part_data": self._on_data,
            "on_end": self._on_end,
        }

    def take(self) -> bytes:
        taken = bytes(self.file)
        self.file.clear()
        return taken

    def form(self) -> Form:
        if not self._has_ended:
            raise InvalidRequest("the form breaks off before its end: send it whole")
        if self._filename is None:
            raise InvalidRequest("missing required parameter: 'file'", param=_FILE, code="missing_required_parameter")
        try:
            fields = {name: value.decode() for name, value in self._fields.items()}
        except UnicodeDecodeError as exc:
            raise InvalidRequest("a field of the form is not valid UTF-8") from exc
        return Form(self._filename, fields)

    def _on_part(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise InvalidRequest(f"the form has more than {MAX_PARTS} parts; send one file and its fields")
        self._disposition, self._target = b"", None

    def _on_header(self) -> None:
        self._header.clear()
        self._value.clear()

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)

    def _on_headers(self) -> None:
        kind, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if kind != b"form-data" or not name:
            raise InvalidRequest("a part of the form has no name; see RFC 7578")
        if name == _FILE:
            self._begin_file(options.get(b"filename"))
        elif name in self._fields:
            raise InvalidRequest(f"the field '{name[:64]}' stands twice in the form", param=name[:64])
        else:
            self._target = self._fields[name] = bytearray()

    def _begin_file(self, filename: bytes | None) -> None:
        if filename is None:
            raise InvalidRequest("'file' must be a file: give its part a filename", param=_FILE, code="invalid_type")
        if self._filename is not None:
            raise InvalidRequest("the form has two files; send one at a time", param=_FILE)
        self._filename = filename.decode("utf-8", "replace")
        self._target = self.file

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        target = self._target
        if target is None:
            return
        if target is not self.file and len(target) + end - start > MAX_FIELD_BYTES:
            raise PayloadTooLarge(
                f"a field of the form is larger than {MAX_FIELD_BYTES} bytes", code="request_too_large"
            )
        target += data[start:end]

    def _on_end(self) -> None:
        self._has_ended = True
