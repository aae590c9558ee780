import pytest

from tests.support.gateway import Running

VECTORS = [[5.0, 1.0], [2.0, 1.0]]


@pytest.mark.parametrize("encoding", ["float", "base64"])
async def test_the_official_client_reads_both_encodings(gateway: Running, encoding: str) -> None:
    answer = await gateway.client().embeddings.create(model="mini", input=["hello", "yo"], encoding_format=encoding)
    if encoding == "float":
        assert [item.embedding for item in answer.data] == VECTORS
    assert [item.index for item in answer.data] == [0, 1]
    assert answer.usage.prompt_tokens == 6
    assert answer.model == "mini"


async def test_token_arrays_and_dimensions_reach_the_embedder(gateway: Running) -> None:
    status, _, _ = await gateway.post("/v1/embeddings", {"model": "mini", "input": [[1, 2], [3]], "dimensions": 2})
    assert status == 200
    call = gateway.embedder.calls[0]
    assert ([list(each) for each in call.inputs], call.dimensions) == ([[1, 2], [3]], 2)


@pytest.mark.parametrize(("model", "status"), [("headrace/auto", 400), ("nobody", 404)])
async def test_a_model_that_embeds_nothing_is_refused(gateway: Running, model: str, status: int) -> None:
    answer = await gateway.post("/v1/embeddings", {"model": model, "input": "x"})
    assert (answer[0], answer[1]["error"]["param"]) == (status, "model")


async def test_a_worker_that_is_not_up_is_503(gateway: Running) -> None:
    gateway.embedder.live = False
    status, _, headers = await gateway.post("/v1/embeddings", {"model": "mini", "input": "x"})
    assert (status, headers["retry-after"]) == (503, "2")


async def test_a_broken_worker_is_told_without_its_address(gateway: Running) -> None:
    gateway.embedder.broken = True
    status, body, _ = await gateway.post("/v1/embeddings", {"model": "mini", "input": "x"})
    assert status == 503
    assert "127.0.0.1" not in body["error"]["message"]


async def test_an_embedding_is_recorded_and_counted(gateway: Running) -> None:
    _, _, headers = await gateway.post("/v1/embeddings", {"model": "mini", "input": ["x"]})
    status, record, _ = await gateway.get(f"/v1/headrace/decisions/{headers['x-headrace-decision']}")
    assert (status, record["endpoint"], record["prompt_tokens"]) == (200, "embeddings", 3)
    page = gateway.system.metrics.render()[0]
    assert b'headrace_requests_total{endpoint="embeddings",outcome="ok",status="200"} 1.0' in page
