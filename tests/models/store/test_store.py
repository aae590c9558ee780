from pathlib import Path

import pytest

from headrace.contracts.errors import StoreError
from headrace.models.store.progress import Progress, ignore
from headrace.models.store.store import HOME_VARIABLE, ByteCounter, Store, default_home, tree_digest


def publish(store: Store, name: str = "tiny", text: bytes = b"weights") -> Path:
    with store.lock(name), store.scratch(name) as scratch:
        staged = scratch / "staged"
        staged.mkdir()
        (staged / "model.gguf").write_bytes(text)
        return store.publish(name, staged, facts={"form": "int8"}, on_progress=ignore)


def test_a_published_folder_lies_under_its_digest_and_is_found_by_name(store: Store) -> None:
    folder = publish(store)
    assert store.has("tiny")
    assert store.path("tiny") == folder
    assert folder.parent.name == "sha256"
    assert store.describe("tiny").facts == {"form": "int8"}


def test_the_same_bytes_are_kept_once(store: Store) -> None:
    assert publish(store, "one") == publish(store, "two")


def test_removing_one_name_keeps_bytes_that_another_needs(store: Store) -> None:
    folder = publish(store, "one")
    publish(store, "two")
    assert store.remove("one") == 0
    assert folder.is_dir()
    assert store.remove("two") == len(b"weights")
    assert not folder.exists()
    assert store.installed() == ()


def test_an_absent_model_is_refused_with_the_command_that_brings_it(store: Store) -> None:
    with pytest.raises(StoreError, match="run: headrace models import tiny"):
        store.path("tiny")


@pytest.mark.parametrize("name", ["../tiny", ".tiny", "", "a/b", "Tiny"])
def test_a_name_that_could_lead_elsewhere_is_refused(store: Store, name: str) -> None:
    with pytest.raises(StoreError, match="is no model name"):
        store.has(name)


def test_verify_names_the_file_that_changed(store: Store) -> None:
    folder = publish(store)
    (folder / "model.gguf").write_bytes(b"weightz")
    with pytest.raises(StoreError, match=r"model\.gguf has sha256 .* headrace models rm tiny"):
        store.verify("tiny")


def test_verify_names_a_missing_and_an_unknown_file(store: Store) -> None:
    folder = publish(store)
    (folder / "extra").write_bytes(b"")
    with pytest.raises(StoreError, match="extra is unknown"):
        store.verify("tiny")
    (folder / "extra").unlink()
    (folder / "model.gguf").unlink()
    with pytest.raises(StoreError, match=r"model\.gguf is missing"):
        store.verify("tiny")


def test_too_little_space_is_told_in_numbers(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"importing x needs 2\.0 GB and the disk of .* has 1\.0 GB"):
        Store(tmp_path, free_bytes=lambda _: 10**9).require_space(2 * 10**9, "importing x")


def test_the_home_is_the_stated_one_or_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    assert default_home() == tmp_path
    monkeypatch.delenv(HOME_VARIABLE)
    assert default_home().name == "headrace"


def test_scratch_left_by_a_killed_process_is_cleared(store: Store) -> None:
    left = store.home / "scratch" / "tiny"
    left.mkdir(parents=True)
    (left / "half").write_bytes(b"x")
    with store.scratch("tiny") as scratch:
        assert list(scratch.iterdir()) == []
    assert not left.exists()


def test_publishing_again_moves_the_name_to_the_new_bytes(store: Store) -> None:
    first = publish(store, text=b"old")
    second = publish(store, text=b"new")
    assert first != second
    assert store.path("tiny") == second
    assert (store.home / "models" / "tiny").readlink().parts[0] == ".."


def test_a_tree_digest_depends_on_names_and_hashes_not_on_order() -> None:
    assert tree_digest({"a": "1", "b": "2"}) == tree_digest({"b": "2", "a": "1"})
    assert tree_digest({"a": "1"}) != tree_digest({"b": "1"})


def test_a_byte_counter_tells_the_running_sum() -> None:
    told: list[Progress] = []
    counter = ByteCounter("tiny", "join", 5, told.append)
    counter.add(2)
    counter.add(3)
    assert [(step.done, step.total) for step in told] == [(2, 5), (5, 5)]


def test_a_folder_that_was_not_published_is_not_listed(store: Store, tmp_path: Path) -> None:
    publish(store)
    (tmp_path / "own").mkdir()
    (store.home / "models" / "own").symlink_to(tmp_path / "own")
    assert [model.id for model in store.installed()] == ["tiny"]
