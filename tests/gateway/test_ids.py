import os

from headrace.gateway.ids import BLOCK_IDS, Ids


def test_ids_are_32_hex_digits_and_never_repeat_over_blocks() -> None:
    ids = Ids()
    drawn = [ids() for _ in range(3 * BLOCK_IDS)]
    assert len(set(drawn)) == len(drawn)
    assert all(len(each) == 32 and int(each, 16) >= 0 for each in drawn)


def test_the_system_is_asked_once_a_block() -> None:
    asked: list[int] = []

    def draw(count: int) -> bytes:
        asked.append(count)
        return os.urandom(count)

    ids = Ids(draw)
    for _ in range(BLOCK_IDS):
        ids()
    assert len(asked) == 1
