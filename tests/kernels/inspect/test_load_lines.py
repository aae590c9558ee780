import inspect
from types import ModuleType

import triton

from headrace.kernels.inspect.load_lines import Loads, loads
from tests.support.kernels import trial_kernels


def _line(kernel: triton.JITFunction, text: str, module: ModuleType = trial_kernels) -> tuple[str, int]:
    source, first = inspect.getsourcelines(kernel.fn)
    return str(module.__file__), first + next(place for place, line in enumerate(source) if text in line)


def test_a_load_through_a_helper_is_found_on_every_line_of_its_call() -> None:
    found = loads(trial_kernels.product, frozenset({"w"}))
    assert _line(trial_kernels.load_tile, "tl.load(") in found.weights
    assert _line(trial_kernels.load_tile, "mask=mask,") in found.weights
    assert _line(trial_kernels.product, "x = tl.load(") in found.others
    assert len(found.weights) == 5


def test_other_arguments_are_other_loads() -> None:
    found = loads(trial_kernels.product, frozenset({"a"}))
    assert found.weights == {_line(trial_kernels.product, "x = tl.load(")}
    assert _line(trial_kernels.load_tile, "tl.load(") in found.others


def test_what_was_loaded_is_data_and_taints_nothing() -> None:
    found = loads(trial_kernels.follows, frozenset({"ids"}))
    assert found.weights == {_line(trial_kernels.follows, "tl.load(ids")}
    assert found.others == {_line(trial_kernels.follows, "tl.load(rows")}


def test_no_argument_means_no_weights() -> None:
    assert loads(trial_kernels.product, frozenset()).weights == frozenset()


def test_a_load_that_the_compiler_put_on_a_later_line_belongs_to_the_one_before() -> None:
    found = Loads(frozenset({("k.py", 10)}), frozenset({("k.py", 5), ("k.py", 20)}))
    assert [found.is_weight(("k.py", line)) for line in (4, 5, 6, 10, 11, 19, 20, 21)] == [
        False, False, False, True, True, True, False, False,
    ]  # fmt: skip
    assert not found.is_weight(("other.py", 11))
