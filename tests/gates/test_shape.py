from pathlib import Path

import pytest

from tests.gates import shape

SOUND = '"""What lives here."""\n\n\ndef double(n: int) -> int:\n    """Return twice n."""\n    return 2 * n\n'


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository in miniature: one source file with its test file."""
    write(tmp_path / "gateway/limits/depth.py", SOUND)
    write(tmp_path / "tests/gateway/limits/test_depth.py", "def test_nothing():\n    pass\n")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def rules(root: Path) -> list[str]:
    return [violation.rule for violation in shape.check(root)]


def test_a_sound_tree_has_no_violation(tree: Path) -> None:
    assert rules(tree) == []


def test_a_source_file_without_its_test_file_is_named(tree: Path) -> None:
    (tree / "tests/gateway/limits/test_depth.py").unlink()
    assert rules(tree) == ["no test file tests/gateway/limits/test_depth.py"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("gateway/a/b.py", "tests/gateway/a/test_b.py"),
        ("src/headrace/contracts/chat.py", "tests/contracts/test_chat.py"),
        ("src/headrace/cli/__init__.py", "tests/cli/test_cli.py"),
        ("kernels/rounding/_kernel.py", "tests/kernels/rounding/test_kernel.py"),
        ("models/build/__main__.py", "tests/models/build/test_main.py"),
    ],
)
def test_tests_stand_at_the_mirrored_path(source: str, expected: str) -> None:
    assert shape.test_file(Path(source)) == Path(expected)


def test_a_room_seen_through_its_link_is_counted_once(tree: Path) -> None:
    (tree / "src/headrace").mkdir(parents=True)
    (tree / "src/headrace/gateway").symlink_to(tree / "gateway")
    assert shape.source_files(tree) == [Path("gateway/limits/depth.py")]


def test_an_init_file_that_only_documents_needs_no_test(tree: Path) -> None:
    write(tree / "gateway/limits/__init__.py", '"""Bounds."""\n')
    assert rules(tree) == []


def test_an_init_file_with_code_needs_one(tree: Path) -> None:
    write(tree / "gateway/limits/__init__.py", SOUND)
    assert rules(tree) == ["no test file tests/gateway/limits/test_limits.py"]


@pytest.mark.parametrize(
    ("added", "words"),
    [
        ("assert double(1) == 2\n", "assert outside tests"),
        ("try:\n    double(1)\nexcept Exception:\n    raise\n", "catches every exception"),
        ("try:\n    double(1)\nexcept (ValueError, BaseException):\n    raise\n", "catches every exception"),
        ("try:\n    double(1)\nexcept BaseException:\n    pass\n", "catches every exception"),
        ("try:\n    double(1)\nexcept:\n    raise\n", "catches every exception"),
        ("asyncio.create_task(work())\n", "a task nobody holds"),
        ("asyncio.get_running_loop().create_task(work())\n", "a task nobody holds"),
        ("x = 1\n" * 400, "more than 400"),
        ("def long() -> None:\n" + "    double(1)\n" * 60, "long has 61 lines"),
    ],
)
def test_each_rule_refuses_its_offence(tree: Path, added: str, words: str) -> None:
    write(tree / "gateway/limits/depth.py", SOUND + added)
    (found,) = rules(tree)
    assert words in found


@pytest.mark.parametrize("held", ["task = asyncio.create_task(work())\n", "group.create_task(work())\n"])
def test_a_task_that_is_held_is_no_offence(tree: Path, held: str) -> None:
    write(tree / "gateway/limits/depth.py", SOUND + held)
    assert rules(tree) == []


def test_tidying_up_before_raising_again_is_no_offence(tree: Path) -> None:
    write(
        tree / "gateway/limits/depth.py", SOUND + "try:\n    double(1)\nexcept BaseException:\n    tidy()\n    raise\n"
    )
    assert rules(tree) == []


def test_one_file_may_catch_everything(tree: Path) -> None:
    write(tree / "gateway/responses.py", SOUND + "try:\n    double(1)\nexcept Exception:\n    raise\n")
    write(tree / "tests/gateway/test_responses.py", "")
    assert rules(tree) == []


def test_a_file_without_a_docstring_is_named(tree: Path) -> None:
    write(tree / "gateway/limits/depth.py", "X = 1\n")
    assert rules(tree) == ["no module docstring"]
