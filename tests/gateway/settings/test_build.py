from decimal import Decimal
from pathlib import Path

import pytest

from headrace.contracts.policy import Comparison, Retrieve
from headrace.gateway.settings.build import card_of, served_ids
from headrace.gateway.settings.tree import EngineBackend, KernelSettings, UrlBackend
from tests.support.config import SAMPLE, Cards, load_text, problems_of

ENGINE = "{engine: vllm, model: smollm2-135m-instruct-int8}"


def test_an_engine_takes_its_card_from_the_catalogue(tmp_path: Path) -> None:
    engine = load_text(tmp_path).backends["smollm2-135m"]
    assert isinstance(engine, EngineBackend)
    assert engine.card.id == "smollm2-135m-instruct-int8"
    assert "logprobs" in engine.card.capabilities
    assert engine.eager
    assert engine.threads is None


def test_an_engines_options_and_what_it_says_of_itself_win(tmp_path: Path) -> None:
    said = (
        ENGINE[:-1]
        + ", threads: 2, kv_cache_bytes: 500000000, eager: false, context_tokens: 2048, capabilities: [stream]}"
    )
    engine = load_text(tmp_path, SAMPLE.replace(ENGINE, said)).backends["smollm2-135m"]
    assert isinstance(engine, EngineBackend)
    assert (engine.threads, engine.kv_cache_bytes, engine.eager) == (2, 500_000_000, False)
    assert engine.card.context_tokens == 2048
    assert engine.card.capabilities == {"stream"}


def test_a_url_backend_is_named_by_its_config(tmp_path: Path) -> None:
    cloud = load_text(tmp_path).backends["cloud"]
    assert isinstance(cloud, UrlBackend)
    assert (cloud.card.id, cloud.card.upstream, cloud.model) == ("cloud", "big-model", "big-model")
    assert cloud.card.price.output_usd_per_mtok == Decimal("1.8")
    assert cloud.card.context_tokens == 128_000


def test_a_url_backend_of_a_catalogue_model_needs_only_its_urls(tmp_path: Path) -> None:
    text = SAMPLE.replace(ENGINE, "{urls: ['http://127.0.0.1:9/v1'], model: smollm2-135m-instruct-int8}")
    assert load_text(tmp_path, text).backends["smollm2-135m"].card.context_tokens == 8192


@pytest.mark.parametrize(
    ("backend", "path", "what"),
    [
        ("{model: x}", "backends.smollm2-135m", "either `engine` or `urls`"),
        ("{engine: vllm, urls: ['http://a/v1'], model: x}", "backends.smollm2-135m", "either `engine` or `urls`"),
        (ENGINE[:-1] + ", api_key: abc}", "backends.smollm2-135m.api_key", "made by headrace"),
        (ENGINE[:-1] + ", context_tokens: 99999}", "backends.smollm2-135m.context_tokens", "8192"),
        ("{urls: ['http://a/v1'], model: x, threads: 2}", "backends.smollm2-135m.threads", "engines"),
        ("{urls: ['http://a/v1'], model: x}", "backends.smollm2-135m", "not in the catalogue"),
        ("{urls: ['ftp://a/v1'], model: x}", "backends.smollm2-135m.urls[0]", "cannot be used"),
        ("{urls: ['http://u:p@a/v1'], model: x}", "backends.smollm2-135m.urls[0]", "cannot be used"),
        ("{urls: [], model: x}", "backends.smollm2-135m.urls", "length"),
    ],
)
def test_a_backend_that_cannot_be_is_told_and_nothing_else_is(
    tmp_path: Path, backend: str, path: str, what: str
) -> None:
    problems = problems_of(tmp_path, SAMPLE.replace(ENGINE, backend))
    assert any(problem.path == path and what in problem.what for problem in problems), problems
    assert all(problem.path.startswith("backends.smollm2-135m") for problem in problems)


def test_prices_are_exact_decimals(tmp_path: Path) -> None:
    text = SAMPLE.replace("input_usd_per_mtok: 0.60", "input_usd_per_mtok: 0.1")
    assert load_text(tmp_path, text).backends["cloud"].card.price.input_usd_per_mtok == Decimal("0.1")


def test_rules_keep_their_order_and_conditions(tmp_path: Path) -> None:
    rules = load_text(tmp_path).policy.virtual_models["headrace/auto"].select
    assert [rule.id for rule in rules] == ["too-long", "has-tools", "code", "hard", "default"]
    assert rules[0].when == Comparison("prompt_tokens", "gt", 3000)
    assert rules[-1].when is None


def test_a_rule_is_judged_unless_it_says_not(tmp_path: Path) -> None:
    text = SAMPLE.replace("{id: default,   use: small}", "{id: default, use: small, judged: false}")
    rules = load_text(tmp_path, text).policy.virtual_models["headrace/auto"].select
    assert [rule.judged for rule in rules] == [True, True, True, True, False]


def test_a_model_that_is_not_known_or_not_served_has_no_card(tmp_path: Path) -> None:
    assert card_of(Cards(), "nothing") is None
    assert card_of(Cards(), "smollm2-135m-instruct") is None
    (problem,) = problems_of(
        tmp_path, SAMPLE.replace("model: smollm2-135m-instruct-int8", "model: smollm2-135m-instruct")
    )
    assert "is served" in problem.what
    assert "smollm2-135m-instruct-int8" in problem.cure


def test_references_cannot_be_named() -> None:
    assert "smollm2-135m-instruct" not in served_ids(Cards())
    assert "smollm2-135m-instruct-int8" in served_ids(Cards())


RETRIEVING = SAMPLE.replace(
    "    limits: {max_attempts: 3",
    "    retrieve: {collection: handbook, k: 4, when: auto}\n    limits: {max_attempts: 3",
)


def test_a_virtual_model_names_its_documents(tmp_path: Path) -> None:
    text = RETRIEVING + "embeddings: {model: all-minilm-l6-v2}\n"
    retrieve = load_text(tmp_path, text).policy.virtual_models["headrace/auto"].retrieve
    assert retrieve == Retrieve(("handbook",), k=4, when="auto")
    several = text.replace("collection: handbook", "collection: [handbook, faq, handbook]")
    found = load_text(tmp_path, several).policy.virtual_models["headrace/auto"].retrieve
    assert found is not None
    assert found.collections == ("handbook", "faq")


def test_documents_need_a_model_that_embeds(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, RETRIEVING)
    assert [problem.path for problem in problems] == ["virtual_models.headrace/auto.retrieve"]
    assert "embeddings: {model: all-minilm-l6-v2}" in problems[0].cure


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("k: 4", "k: 0", "k"),
        ("k: 4", "k: 51", "k"),
        ("when: auto", "when: sometimes", "when"),
        ("when: auto", "min_score: 2", "min_score"),
        ("when: auto", "when_unsupported: panic", "when_unsupported"),
        ("when: auto", "timeout_s: 0", "timeout_s"),
        ("when: auto", "wen: auto", "wen"),
    ],
)
def test_a_bad_retrieve_is_told_at_its_key(tmp_path: Path, old: str, new: str, path: str) -> None:
    problems = problems_of(tmp_path, RETRIEVING.replace(old, new))
    assert f"virtual_models.headrace/auto.retrieve.{path}" in [problem.path for problem in problems]


def test_files_and_stores_are_kept_under_the_home_folder_or_beside_the_config(tmp_path: Path) -> None:
    assert load_text(tmp_path).retrieval.folder == tmp_path / "home" / "retrieval"
    named = load_text(tmp_path, SAMPLE + "retrieval: {folder: documents, ingest_workers: 3}\n").retrieval
    assert (named.folder, named.ingest_workers, named.index.engine) == (tmp_path / "documents", 3, "faiss")


def test_a_qdrant_servers_key_comes_from_the_environment_and_is_not_shown(tmp_path: Path) -> None:
    text = SAMPLE + 'retrieval: {index: {engine: qdrant, url: "http://q:6333", api_key: "${CLOUD_KEY}"}}\n'
    index = load_text(tmp_path, text).retrieval.index
    assert (index.engine, index.url) == ("qdrant", "http://q:6333")
    assert index.api_key is not None
    assert index.api_key not in repr(index)


@pytest.mark.parametrize(
    ("section", "engine", "kind", "url"),
    [
        ("{kind: hnsw}", "faiss", "hnsw", None),
        ("{engine: faiss}", "faiss", None, None),
        ('{engine: qdrant, url: ":memory:"}', "qdrant", None, ":memory:"),
    ],
)
def test_the_kind_of_an_index_is_chosen_by_size_unless_named(
    tmp_path: Path, section: str, engine: str, kind: str | None, url: str | None
) -> None:
    index = load_text(tmp_path, f"{SAMPLE}retrieval: {{index: {section}}}\n").retrieval.index
    assert (index.engine, index.kind, index.url) == (engine, kind, url)


@pytest.mark.parametrize(
    ("section", "path"),
    [
        ("{index: {engine: qdrant}}", "retrieval.index"),
        ("{index: {engine: qdrant, url: 'http://q:6333', kind: ivf}}", "retrieval.index.kind"),
        ("{index: {kind: lsh}}", "retrieval.index.kind"),
        ("{index: {url: 'http://q:6333'}}", "retrieval.index.url"),
        ("{index: {engine: pinecone}}", "retrieval.index.engine"),
        ("{index: {engine: qdrant, url: memory}}", "retrieval.index.url"),
        ("{max_file_bytes: 10}", "retrieval.max_file_bytes"),
        ("{ingest_workers: 0}", "retrieval.ingest_workers"),
        ("{max_files: 10}", "retrieval.max_files"),
    ],
)
def test_what_the_retrieval_section_may_not_say_is_told_with_its_line(tmp_path: Path, section: str, path: str) -> None:
    (problem,) = problems_of(tmp_path, f"{SAMPLE}retrieval: {section}\n")
    assert (problem.path, problem.place.line) == (path, len(SAMPLE.splitlines()) + 1)
    assert problem.cure


@pytest.mark.parametrize(
    ("said", "kernels"),
    [
        ("", None),
        (", attention: sparse", KernelSettings({})),
        (", attention: {budget: 2048, method: mean}", KernelSettings({"budget": 2048, "method": "mean"})),
        (", attention: {dense_layers: 4, min_query: 9}", KernelSettings({"min_query": 9, "dense_layers": 4})),
        (", attention: {dense_layers: [7, 18]}", KernelSettings({"dense_layers": [7, 18]})),
        (", moe: headrace, quantization: int4", KernelSettings(has_moe=True, quantization="int4")),
    ],
)
def test_an_engine_uses_the_kernels_that_its_file_names_and_no_others(
    tmp_path: Path, said: str, kernels: KernelSettings | None
) -> None:
    engine = load_text(tmp_path, SAMPLE.replace(ENGINE, ENGINE[:-1] + said + "}")).backends["smollm2-135m"]
    assert isinstance(engine, EngineBackend)
    assert engine.kernels == kernels


@pytest.mark.parametrize(
    ("said", "path", "what"),
    [
        ("attention: fast", "attention", "write sparse, or a mapping"),
        ("attention: {budget: 512}", "attention", "sink 128 and local 1024 do not fit in a budget of 512"),
        ("attention: {budgets: 512}", "attention.budgets", "did you mean 'budget'"),
        ("attention: {method: best}", "attention.method", "minmax"),
        ("attention: {dense_layers: [7, -1]}", "attention.dense_layers", "a list of layers counted from 0"),
        ("attention: {dense_layers: first}", "attention.dense_layers", "write how many first layers"),
        ("moe: vllm", "moe", "known here: headrace"),
        ("quantization: int4", "quantization", "moe: headrace"),
        ("moe: headrace, quantization: int3", "quantization", "did you mean 'int"),
    ],
)
def test_a_bad_word_about_kernels_is_told_where_it_stands(tmp_path: Path, said: str, path: str, what: str) -> None:
    problems = problems_of(tmp_path, SAMPLE.replace(ENGINE, ENGINE[:-1] + f", {said}}}"))
    assert [problem.path for problem in problems] == [f"backends.smollm2-135m.{path}"]
    assert what in str(problems[0])
