import pytest

from headrace.router.training.sandbox import passes

CHECK = "def check(candidate):\n    assert candidate(1) == 2"


def test_a_right_function_passes_and_a_wrong_one_does_not() -> None:
    assert passes("def f(x):\n    return x + 1", CHECK, "f")
    assert not passes("def f(x):\n    return x", CHECK, "f")


@pytest.mark.parametrize(
    "program",
    [
        "import socket\nsocket.socket()",
        "open('left-behind', 'w')",
        "import subprocess\nsubprocess.run(['true'])",
        "import os\nos.system('true')",
        "raise SystemExit(0)",
        "def f(:",
        "block = bytearray(4 << 30)",
    ],
)
def test_a_program_that_reaches_out_or_breaks_does_not_pass(program: str) -> None:
    assert not passes(f"{program}\ndef f(x):\n    return x + 1", CHECK, "f")


def test_a_program_that_never_ends_is_stopped() -> None:
    assert not passes("def f(x):\n    while True: pass", CHECK, "f", wall_s=1.0)


def test_leaving_early_with_success_is_no_pass() -> None:
    assert not passes("def f(x):\n    import sys; sys.exit(0)", CHECK, "f")
