"""Vector stores through the official client, and one tenant's ids in another's hands."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pytest

from headrace.contracts.retrieval import Hit, Passage
from headrace.gateway.routes.vector_stores import best_of
from tests.support.gateway import Running, until
from tests.support.stores import CATS, DOGS, TAXES, TinyEmbedder, serving

ALICE, BOB, NARROW = "alice-key-0123456789", "bob-key-0123456789ab", "narrow-key-012345678"
KEYS = {ALICE: ("red", '"*"'), BOB: ("blue", '"*"'), NARROW: ("red", "files")}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[Running, TinyEmbedder]]:
    async with serving(tmp_path) as served:
        yield served


@pytest.fixture
def gateway(served: tuple[Running, TinyEmbedder]) -> Running:
    return served[0]


async def filled(client: openai.AsyncOpenAI, *texts: str, **attributes: str) -> tuple[str, list[str]]:
    """Return a store and its files, all ingested."""
    store = await client.vector_stores.create(name="zoo")
    files = []
    for number, text in enumerate(texts):
        file = await client.files.create(file=(f"{number}.txt", text.encode()), purpose="assistants")
        files.append(file.id)
        done = await client.vector_stores.files.create_and_poll(
            file.id, vector_store_id=store.id, attributes={"n": number, **attributes}, poll_interval_ms=50
        )
        assert done.status == "completed", done.last_error
    return store.id, files


async def test_the_official_client_makes_fills_searches_and_deletes_a_store(gateway: Running) -> None:
    client = gateway.client()
    file = await client.files.create(file=("cats.txt", CATS.encode()), purpose="assistants")
    made = await client.vector_stores.create(
        name="zoo", file_ids=[file.id], metadata={"k": "v"}, expires_after={"anchor": "last_active_at", "days": 2}
    )
    assert (made.status, made.file_counts.in_progress, made.metadata) == ("in_progress", 1, {"k": "v"})
    assert made.expires_at == (made.last_active_at or 0) + 2 * 86_400
    await client.vector_stores.files.poll(file.id, vector_store_id=made.id, poll_interval_ms=50)
    found = await client.vector_stores.retrieve(made.id)
    assert (found.status, found.file_counts.completed, found.usage_bytes > 0) == ("completed", 1, True)
    page = await client.vector_stores.search(made.id, query="where is the cat", rewrite_query=True)
    assert page.object == "vector_store.search_results.page"
    (hit,) = page.data
    assert (hit.file_id, hit.filename, hit.content[0].text) == (file.id, "cats.txt", CATS)
    assert 0 < hit.score <= 1
    changed = await client.vector_stores.update(made.id, name="farm", expires_after=None)
    assert (changed.name, changed.expires_at, changed.metadata) == ("farm", None, {"k": "v"})
    assert [store.id async for store in client.vector_stores.list()] == [made.id]
    assert (await client.vector_stores.delete(made.id)).deleted
    assert not (gateway.settings.retrieval.folder / "collections" / made.id).exists()
    assert (await client.files.retrieve(file.id)).id == file.id


async def test_the_best_hit_is_the_one_that_answers_and_filters_come_first(gateway: Running) -> None:
    client = gateway.client()
    store, files = await filled(client, CATS, DOGS, TAXES, kind="text")
    for question, expected in (("cat", files[0]), ("dog", files[1]), ("tax law", files[2])):
        page = await client.vector_stores.search(store, query=question)
        assert page.data[0].file_id == expected
    only = {"type": "and", "filters": [{"type": "gte", "key": "n", "value": 1}, {"type": "ne", "key": "n", "value": 2}]}
    page = await client.vector_stores.search(store, query="cat", filters=only)  # type: ignore[arg-type]
    assert [(hit.file_id, hit.attributes) for hit in page.data] == [(files[1], {"n": 1, "kind": "text"})]
    both = await client.vector_stores.search(store, query=["cat", "dog"], max_num_results=2)
    assert {hit.file_id for hit in both.data} == {files[0], files[1]}
    strict = await client.vector_stores.search(
        store, query="cat", ranking_options={"ranker": "none", "score_threshold": 1.0}
    )
    assert strict.data == []


async def test_a_store_without_files_gives_an_empty_page(gateway: Running) -> None:
    client = gateway.client()
    store = await client.vector_stores.create()
    assert (store.name, store.status, store.file_counts.total) == ("", "completed", 0)
    assert (await client.vector_stores.search(store.id, query="cat")).data == []


async def test_stores_are_paged_in_both_directions(gateway: Running) -> None:
    client = gateway.client()
    made = [(await client.vector_stores.create(name=str(n))).id for n in range(5)]
    assert [store.id async for store in client.vector_stores.list(limit=2, order="asc")] == made
    before = await client.vector_stores.list(limit=2, order="asc", before=made[3])
    assert [store.id for store in before.data] == made[1:3]


async def test_a_search_while_the_embedder_is_away_is_503_with_a_hint(
    served: tuple[Running, TinyEmbedder],
) -> None:
    gateway, embedder = served
    store, _ = await filled(gateway.client(), CATS)
    embedder.is_away = True
    status, body, headers = await gateway.post(f"/v1/vector_stores/{store}/search", {"query": "cat"})
    assert (status, headers["retry-after"]) == (503, "1")
    assert "127.0.0.1" not in body["error"]["message"]


async def test_an_expired_store_is_shown_as_such_and_refused(gateway: Running) -> None:
    client = gateway.client()
    store, _ = await filled(client, CATS)
    await client.vector_stores.update(store, expires_after={"anchor": "last_active_at", "days": 1})
    library = gateway.system._library._library
    with library._database.write() as connection:
        connection.execute("UPDATE stores SET last_active = last_active - 86400")
    assert (await client.vector_stores.retrieve(store)).status == "expired"
    with pytest.raises(openai.BadRequestError, match="has expired"):
        await client.vector_stores.search(store, query="cat")


WRONG: list[tuple[str, str, object, int]] = [
    ("POST", "/v1/vector_stores", {"expires_after": {"anchor": "created_at", "days": 1}}, 400),
    ("POST", "/v1/vector_stores", {"file_ids": ["file-nobody"]}, 404),
    ("POST", "/v1/vector_stores", {"embedder": "mine"}, 400),
    ("POST", "/v1/vector_stores/vs_nobody", {"name": "x"}, 404),
    ("POST", "/v1/vector_stores/vs_nobody/search", {"query": "x"}, 404),
    ("POST", "/v1/vector_stores/vs_nobody/search", {"query": "x", "filters": {"type": "sql"}}, 400),
    ("POST", "/v1/vector_stores/handbook/search", {"query": "x"}, 404),
    ("POST", "/v1/vector_stores/vs_nobody/search", {}, 400),
    ("GET", "/v1/vector_stores?limit=101", None, 400),
    ("GET", "/v1/vector_stores?after=vs_nobody", None, 400),
    ("GET", "/v1/vector_stores?order=random", None, 400),
    ("GET", "/v1/vector_stores/vs_nobody", None, 404),
    ("GET", "/v1/vector_stores/vs_nobody/search", None, 405),
    ("DELETE", "/v1/vector_stores/vs_nobody", None, 404),
    ("PATCH", "/v1/vector_stores/vs_nobody", {}, 405),
]


async def test_what_is_wrong_is_told_in_openais_shape(gateway: Running) -> None:
    for method, path, body, expected in WRONG:
        async with gateway.http.request(method, gateway.url + path, json=body) as answer:
            assert answer.status == expected, (method, path)
            error = (await answer.json())["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["type"] == "invalid_request_error"


async def test_no_route_tells_one_tenant_of_anothers_objects(tmp_path: Path) -> None:
    async with serving(tmp_path, keys=KEYS) as (gateway, _):
        alice, bob = gateway.client(api_key=ALICE), gateway.client(api_key=BOB)
        store, (file,) = await filled(alice, CATS)
        own, (other,) = await filled(bob, DOGS)
        batch = (await alice.vector_stores.file_batches.create(store, file_ids=[file])).id
        s, f, b = f"/v1/vector_stores/{store}", f"/v1/files/{file}", f"/v1/vector_stores/{store}/file_batches/{batch}"
        attempts = [
            ("GET", f, None),
            ("GET", f"{f}/content", None),
            ("DELETE", f, None),
            ("GET", s, None),
            ("POST", s, {"name": "mine"}),
            ("DELETE", s, None),
            ("POST", f"{s}/search", {"query": "cat"}),
            ("GET", f"{s}/files", None),
            ("POST", f"{s}/files", {"file_id": other}),
            ("GET", f"{s}/files/{file}", None),
            ("POST", f"{s}/files/{file}", {"attributes": {}}),
            ("DELETE", f"{s}/files/{file}", None),
            ("GET", f"{s}/files/{file}/content", None),
            ("POST", f"{s}/file_batches", {"file_ids": [other]}),
            ("GET", b, None),
            ("POST", f"{b}/cancel", None),
            ("GET", f"{b}/files", None),
            ("POST", f"/v1/vector_stores/{own}/files", {"file_id": file}),
            ("POST", f"/v1/vector_stores/{own}/file_batches", {"file_ids": [file]}),
            ("GET", f"/v1/vector_stores/{own}/file_batches/{batch}", None),
            ("GET", f"/v1/vector_stores/{own}/files/{file}", None),
            ("POST", "/v1/vector_stores", {"file_ids": [file]}),
        ]
        headers = {"authorization": f"Bearer {BOB}"}
        for method, path, body in attempts:
            async with gateway.http.request(method, gateway.url + path, json=body, headers=headers) as answer:
                assert answer.status == 404, (method, path)
                theirs = await answer.json()
            nobody = path.replace(store, "vs_" + "0" * 32).replace(file, "file-" + "0" * 32).replace(batch, "vsfb_0")
            async with gateway.http.request(
                method, gateway.url + nobody, json=_unknown(body, file), headers=headers
            ) as answer:
                unknown = await answer.json()
            assert theirs["error"]["code"] == unknown["error"]["code"], (method, path)
        assert [each.id async for each in bob.files.list()] == [other]
        assert [each.id async for each in bob.vector_stores.list()] == [own]
        for listed in (f"/v1/files?after={file}", f"/v1/vector_stores?after={store}"):
            assert (await gateway.get(listed, **headers))[0] == 400
        assert [hit.file_id for hit in (await alice.vector_stores.search(store, query="cat")).data] == [file]


def _unknown(body: dict[str, object] | None, file: str) -> dict[str, object] | None:
    return None if body is None else {key: _other(value, file) for key, value in body.items()}


def _other(value: object, file: str) -> object:
    unknown = "file-" + "0" * 32
    if isinstance(value, list):
        return [unknown if item == file else item for item in value]
    return unknown if value == file else value


async def test_a_key_needs_the_scope_of_the_route(tmp_path: Path) -> None:
    async with serving(tmp_path, keys=KEYS) as (gateway, _):
        narrow = {"authorization": f"Bearer {NARROW}"}
        assert (await gateway.get("/v1/files", **narrow))[0] == 200
        status, body, _ = await gateway.get("/v1/vector_stores", **narrow)
        assert (status, body["error"]["code"]) == (403, "insufficient_scope")


async def test_searches_at_once_of_many_stores_never_mix(gateway: Running) -> None:
    client = gateway.client()
    stores = [(await filled(client, text))[0] for text in (CATS, DOGS, TAXES)]

    async def ask(turn: int) -> bool:
        page = await client.vector_stores.search(stores[turn % 3], query="cat dog tax")
        return [hit.content[0].text for hit in page.data] == [(CATS, DOGS, TAXES)[turn % 3]]

    assert all(await asyncio.gather(*(ask(turn) for turn in range(12))))


async def test_what_is_ingested_survives_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path) as (gateway, _):
        store, files = await filled(gateway.client(), CATS)
    async with serving(tmp_path) as (gateway, embedder):
        embedder.gate.clear()
        client = gateway.client()
        late = await client.files.create(file=("dogs.txt", DOGS.encode()), purpose="assistants")
        await client.vector_stores.files.create(store, file_id=late.id)
        intake = gateway.system._library._stores
        assert intake is not None
        await until(lambda: intake.intake.running == 1)
        embedder.gate.set()
    async with serving(tmp_path) as (gateway, _):
        client = gateway.client()
        await client.vector_stores.files.poll(late.id, vector_store_id=store, poll_interval_ms=50)
        page = await client.vector_stores.search(store, query="cat dog")
        assert {hit.file_id for hit in page.data} == {files[0], late.id}


def test_several_searches_become_one_with_each_passage_once() -> None:
    def hit(number: int, score: float) -> Hit:
        return Hit(Passage(number, "file-1", "a", "t", 0, 1, 1), score)

    merged = best_of([[hit(1, 0.5), hit(2, 0.4)], [hit(2, 0.9), hit(3, 0.1)]], 2)
    assert [(each.passage.id, each.score) for each in merged] == [(2, 0.9), (1, 0.5)]
