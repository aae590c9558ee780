from headrace.retrieval.ingest.limits import MIB, Limits


def test_a_file_may_have_64_mib_unless_told_otherwise() -> None:
    assert Limits().max_bytes == 64 * MIB
    assert Limits(max_bytes=5).max_bytes == 5
