from headrace.kernels import tuned
from headrace.kernels.inspect import timed


def test_every_timed_op_names_tables_that_exist() -> None:
    assert set(timed.TABLES) == set(timed.builders())
    for arch in ("sm_80", "sm_90", "sm_100", "gfx942"):
        assert {name for names in timed.TABLES.values() for name in names} <= set(tuned.table(arch))


def test_nothing_is_built_before_it_is_asked_for() -> None:
    assert all(callable(builder) for builders in timed.builders().values() for builder in builders)
    assert sum(len(builders) for builders in timed.builders().values()) >= 30
