from pathlib import Path

import pytest

from headrace.cli.place import TENANT, Place
from headrace.contracts.errors import ConfigError, NotFound, StoreError
from headrace.models.store.store import HOME_VARIABLE
from headrace.retrieval.library.records import NewMember
from tests.support.library import EMBEDDER, publish_embedder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    publish_embedder(tmp_path)
    return tmp_path


def test_the_library_lies_in_the_home_folder_and_the_embedder_is_the_configs(home: Path) -> None:
    place = Place.of(None)
    assert place.library.folder == home / "retrieval"
    assert (place.embedder.model, place.embedder.dimensions) == (EMBEDDER, 4)


def test_another_embedder_can_be_named_and_must_be_there(home: Path) -> None:
    publish_embedder(home, "other-embedder", max_tokens=32)
    assert Place.of(None, "other-embedder").embedder.model == "other-embedder"
    with pytest.raises(StoreError, match="no-such-model"):
        Place.of(None, "no-such-model")


def test_a_config_without_embeddings_is_told(home: Path, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("backends:\n  one: {urls: [http://127.0.0.1:1/v1], model: m}\ntiers: {small: {default: one}}\n")
    assert home
    with pytest.raises((ConfigError, StoreError)):
        Place.of(config)


def test_a_store_is_found_by_name_and_by_id(home: Path) -> None:
    assert home
    place = Place.of(None)
    assert place.find("handbook") is None
    assert list(place.stores()) == []
    made = place.library.stores.create(TENANT, "handbook")
    assert place.store("handbook").id == place.store(made.id).id == made.id
    assert [store.name for store in place.stores()] == ["handbook"]
    with pytest.raises(NotFound, match="headrace index list"):
        place.store("other")


def test_all_pages_of_members_are_walked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert home
    monkeypatch.setattr("headrace.cli.place._PAGE", 2)
    place = Place.of(None)
    stores = [place.library.stores.create(TENANT, f"s{number}") for number in range(3)]
    files = [place.library.files.keep(TENANT, f"{number}.txt", b"x") for number in range(5)]
    for file in files:
        place.library.shelves.adopt(TENANT, stores[0].id, NewMember(file.id), 1)
    assert [member.file for member in place.members(stores[0].id)] == [file.id for file in files]
    assert len(list(place.stores())) == 3


def test_an_index_takes_anothers_place_whole(home: Path) -> None:
    assert home
    place = Place.of(None)
    store = place.library.stores.create(TENANT, "handbook").id
    with place.index(store, create=True):
        pass
    fresh = place.library.collection(f"{store}.new")
    fresh.mkdir()
    (fresh / "mark").touch()
    place.swap(store, fresh)
    assert [path.name for path in place.library.collection(store).iterdir()] == ["mark"]
    place.drop(store)
    assert not place.library.collection(store).exists()
