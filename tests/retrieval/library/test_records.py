import re

from headrace.retrieval.library.records import BatchRecord, Counts, StoreRecord, new_id


def store(expire_days: int | None) -> StoreRecord:
    return StoreRecord("vs_1", "a", "", "", {}, 100, 1_000, expire_days, Counts(), 0)


def test_a_store_expires_so_many_days_after_its_last_use() -> None:
    assert store(2).expires == 1_000 + 2 * 86_400
    assert store(2).is_expired(1_000 + 2 * 86_400)
    assert not store(2).is_expired(1_000 + 2 * 86_400 - 1)


def test_a_store_without_expiry_stays() -> None:
    assert store(None).expires is None
    assert not store(None).is_expired(10**12)


def test_a_batch_has_failed_only_where_nothing_came_of_any_file() -> None:
    def status(counts: Counts, *, is_cancelled: bool = False) -> str:
        return BatchRecord("vsfb_1", "vs_1", 0, is_cancelled, counts).status

    assert status(Counts(in_progress=1, failed=1)) == "in_progress"
    assert status(Counts(completed=1, failed=1)) == "completed"
    assert status(Counts(failed=2)) == "failed"
    assert status(Counts(completed=1, cancelled=1), is_cancelled=True) == "cancelled"
    assert status(Counts()) == "completed"


def test_ids_are_long_and_never_the_same() -> None:
    made = {new_id("file-") for _ in range(1_000)}
    assert len(made) == 1_000
    assert all(re.fullmatch(r"file-[0-9a-f]{32}", each) for each in made)
