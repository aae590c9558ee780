import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.errors import HeadraceError, InvalidRequest, PayloadTooLarge
from headrace.gateway import uploads
from headrace.gateway.exchange import ClientLeft, Exchange, RequestTimeout, UnsupportedCoding
from headrace.gateway.uploads import FORM_BYTES, MAX_PARTS, Form, receive_form

BOUNDARY = "b0undary"
KIND = f"multipart/form-data; boundary={BOUNDARY}".encode()


class Kept:
    """Keeps the file, and how large the pieces were."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.pieces.append(data)

    @property
    def content(self) -> bytes:
        return b"".join(self.pieces)


def part(disposition: str, content: bytes, *headers: str) -> bytes:
    lines = [f"--{BOUNDARY}", f"Content-Disposition: form-data; {disposition}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


FILE = part('name="file"; filename="a.txt"', b"hello\r\n--b0undar\r\nworld", "Content-Type: text/plain")
PURPOSE = part('name="purpose"', b"assistants")


def exchange(
    pieces: Iterable[bytes], *headers: tuple[bytes, bytes], kind: bytes = KIND, leaves: bool = False
) -> Exchange:
    queue = list(pieces)

    async def receive() -> dict[str, Any]:
        if not queue and leaves:
            return {"type": "http.disconnect"}
        if not queue:
            await asyncio.Event().wait()
        body = queue.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(queue) or leaves}

    scope = {"type": "http", "headers": [(b"content-type", kind), *headers]}
    return Exchange(scope, receive, None, id_hex="0" * 32, clock=lambda: 0.0)


async def read(body: bytes, *, step: int = 10**9, limit: int = 10**6) -> tuple[Form, bytes]:
    sink = Kept()
    pieces = [body[at : at + step] for at in range(0, len(body), step)]
    return await receive_form(exchange(pieces), sink, file_limit=limit), sink.content


@pytest.mark.parametrize("step", [1, 2, 7, 64, 10**9])
async def test_a_form_is_read_however_it_is_cut(step: int) -> None:
    for body in (form(FILE, PURPOSE), form(PURPOSE, FILE), b"\r\n" + form(PURPOSE, FILE) + b"epilogue"):
        found, content = await read(body, step=step)
        assert found == Form("a.txt", {"purpose": "assistants"})
        assert content == b"hello\r\n--b0undar\r\nworld"


async def test_a_large_file_reaches_its_sink_in_pieces() -> None:
    sink = Kept()
    content = bytes(range(256)) * 20_000
    body = form(PURPOSE, part('name="file"; filename="a"', content))
    pieces = [body[at : at + 65_536] for at in range(0, len(body), 65_536)]
    await receive_form(exchange(pieces), sink, file_limit=10**7)
    assert sink.content == content
    assert len(sink.pieces) >= 4
    assert max(map(len, sink.pieces)) <= 2 * 1_048_576


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"--wrong--\r\n",
        form(PURPOSE),
        form(FILE)[:-4],
        form(FILE, FILE),
        form(FILE, PURPOSE, PURPOSE),
        form(part('name="file"', b"no filename")),
        form(part('filename="a"', b"no name")),
        form(FILE, part('name="purpose"', b"\xff\xfe")),
        form(FILE, *(part(f'name="f{n}"', b"") for n in range(MAX_PARTS))),
        form(*(part(f'name="f{n}"', b"x") for n in range(100_000))),
        b"--" + BOUNDARY.encode() + b"\r\n" + b"A: b\r\n" * 9 + b"\r\n\r\n",
        b"--" + BOUNDARY.encode() + b"\r\nContent-Disposition: " + b"x" * 5_000 + b"\r\n\r\n",
        b"--" + BOUNDARY.encode() + b"\r\n: empty\r\n\r\n",
        b"--" + BOUNDARY.encode() + b'\r\nContent-Disposition: attachment; name="file"; filename="a"\r\n\r\nx\r\n',
    ],
    ids=range(16),
)
async def test_what_is_no_form_with_one_file_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        await read(body or b" ", limit=10**8)


async def test_a_field_has_no_room_for_a_file() -> None:
    with pytest.raises(PayloadTooLarge):
        await read(form(FILE, part('name="purpose"', b"x" * 1_025)))


@pytest.mark.parametrize("kind", [b"", b"application/json", b"multipart/form-data", b"multipart/mixed; boundary=x"])
async def test_another_content_type_is_refused(kind: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await receive_form(exchange([b"x"], kind=kind), Kept(), file_limit=10)
    assert refused.value.code == "invalid_content_type"


async def test_a_long_boundary_and_a_compressed_body_are_refused() -> None:
    kind = b"multipart/form-data; boundary=" + b"x" * 500
    with pytest.raises(InvalidRequest, match="boundary"):
        await receive_form(exchange([b"x"], kind=kind), Kept(), file_limit=10)
    with pytest.raises(UnsupportedCoding):
        await receive_form(exchange([b"x"], (b"content-encoding", b"gzip")), Kept(), file_limit=10)


async def test_a_body_over_the_limit_is_refused_by_its_length_and_as_it_comes() -> None:
    too_long = str(10 + FORM_BYTES + 1).encode()
    with pytest.raises(PayloadTooLarge):
        await receive_form(exchange([b"x"], (b"content-length", too_long)), Kept(), file_limit=10)
    endless = (b"x" * 65_536 for _ in range(10**6))

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": next(endless), "more_body": True}

    flood = exchange([])
    flood.receive = receive
    sink = Kept()
    with pytest.raises(HeadraceError) as refused:
        await receive_form(flood, sink, file_limit=200_000)
    assert refused.value.status in (400, 413)


async def test_a_client_that_leaves_or_trickles_ends_the_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ClientLeft):
        await receive_form(exchange([form(FILE)[:50]], leaves=True), Kept(), file_limit=10**6)
    monkeypatch.setattr(uploads, "BODY_TIMEOUT_S", 0.05)
    trickling = exchange([])
    with pytest.raises(RequestTimeout, match="bytes a second"):
        await receive_form(trickling, Kept(), file_limit=10**6)


@pytest.mark.parametrize(
    "filename",
    ["../../etc/passwd", "C:\\\\boot.ini", "\u30ec.txt", ""],
)
async def test_a_filename_comes_as_the_client_gave_it(filename: str) -> None:
    found, _ = await read(form(part(f'name="file"; filename="{filename}"', b"x")))
    assert found.filename in {filename, filename.rsplit("\\", 1)[-1]}


@given(data=st.data())
@settings(max_examples=200, deadline=None, derandomize=True)
def test_no_bytes_at_all_bring_down_the_reading(data: st.DataObject) -> None:
    body = bytearray(form(FILE, PURPOSE))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(body)))
        piece = data.draw(
            st.sampled_from([b"", b"\r", b"\n", b"--", b"--b0undary", b"\r\n\r\n", b"\x00", b'"', b":", b";", b"\xff"])
        )
        body[at : at + data.draw(st.integers(0, 20))] = piece
    step = data.draw(st.integers(1, 200))
    with contextlib.suppress(InvalidRequest, PayloadTooLarge):
        found, _ = asyncio.run(read(bytes(body) or b" ", step=step))
        assert isinstance(found.filename, str)
