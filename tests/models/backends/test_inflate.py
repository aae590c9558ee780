import gzip
import zlib

import pytest

from headrace.contracts.errors import BackendProtocol
from headrace.models.backends.inflate import Inflater


@pytest.mark.parametrize(
    ("encoding", "packed"), [("gzip", gzip.compress(b"abc" * 99)), ("deflate", zlib.compress(b"abc" * 99))]
)
def test_pieces_inflate_to_what_was_packed(encoding: str, packed: bytes) -> None:
    inflater = Inflater(encoding, 10_000)
    assert b"".join(inflater.feed(packed[i : i + 3]) for i in range(0, len(packed), 3)) == b"abc" * 99


def test_bombs_damage_and_unknown_encodings_are_refused() -> None:
    with pytest.raises(BackendProtocol, match="inflates"):
        Inflater("gzip", 1000).feed(gzip.compress(b"\0" * 10**6))
    with pytest.raises(BackendProtocol, match="damaged"):
        Inflater("gzip", 1000).feed(b"plain")
    with pytest.raises(BackendProtocol, match="'br'"):
        Inflater("br", 1000)
