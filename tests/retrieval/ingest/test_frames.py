import io

import pytest

from headrace.retrieval.ingest.frames import FrameError, read_frame, write_frame


def test_frames_come_back_one_by_one() -> None:
    pipe = io.BytesIO()
    write_frame(pipe, b"one")
    write_frame(pipe, b"")
    pipe.seek(0)
    assert read_frame(pipe, 3) == b"one"
    assert read_frame(pipe, 3) == b""


@pytest.mark.parametrize("sent", [b"", b"\0\0\0", b"\0" * 7 + b"\x05abc", b"\xff" * 8 + b"abc"])
def test_a_frame_that_is_cut_or_too_long_is_refused(sent: bytes) -> None:
    with pytest.raises(FrameError):
        read_frame(io.BytesIO(sent), 100)
