import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.contracts.errors import ConfigError
from headrace.gateway.settings.load import check, home_folder, is_loopback, load, packaged
from headrace.gateway.settings.tree import Settings
from tests.support.config import KEYS, SAMPLE, Cards, environ, load_text, problems_of, write

TOLD = re.compile(r"[^\n]+\.yaml:[0-9]+:[0-9]+: .+; .+")


def test_the_complete_sample_loads(tmp_path: Path) -> None:
    found = load_text(tmp_path)
    assert [tier.id for tier in found.policy.tiers] == ["small", "large"]
    assert found.policy.aliases == {"gpt-4o-mini": "headrace/auto"}
    assert found.policy.virtual_models["headrace/auto"].limits.max_cost_microusd == 10_000
    assert found.server.port == 8080
    assert found.keys.are_on
    assert found.policy.revision == found.revision
    assert [engine.id for engine in found.engines] == ["smollm2-135m", "coder-1.5b"]
    assert [backend.id for backend in found.urls] == ["cloud"]


def test_a_secret_never_shows_in_the_settings_text(tmp_path: Path) -> None:
    assert "cloud-secret-key-value" not in repr(load_text(tmp_path))
    assert load_text(tmp_path).urls[0].api_key == "cloud-secret-key-value"


@pytest.mark.parametrize(
    ("old", "new", "at", "path", "what", "cure"),
    [
        ("port: 8080", "prot: 8080", "prot: ", "server.prot", "unknown key", "did you mean 'port'?"),
        ("port: 8080", "port: 80800", "80800", "server.port", "out of bounds", "at most 65535"),
        ("port: 8080", "port: '8080'", "'8080'", "server.port", "a whole number is wanted", "without quotes"),
        ("tiers:", "teirs:", "teirs:", "teirs", "unknown key", "did you mean 'tiers'?"),
        (
            "default: smollm2-135m,",
            "default: smollm2-135,",
            "smollm2-135,",
            "tiers[0].default",
            "'smollm2-135'",
            "smollm2-135m",
        ),
        ("use: large}", "use: larg}", "larg}", "virtual_models.headrace/auto.select[0].use", "'larg'", "large"),
        (
            "{prompt_tokens: {gt: 3000}}",
            "{prompt_token: {gt: 1}}",
            "prompt_token: ",
            "",
            "unknown signal",
            "prompt_tokens",
        ),
        ("{prompt_tokens: {gt: 3000}}", "{prompt_tokens: {over: 1}}", "over: ", "", "unknown operator", "known here"),
        (
            "model: qwen2.5-coder-1.5b-instruct-int8",
            "model: qwen2.5-coder-1.5b",
            "qwen2.5-coder-1.5b}",
            "backends.coder-1.5b.model",
            "no catalogue model",
            "int8",
        ),
        ("on_uncertain: escalate", "on_uncertain: escalat", "escalat}", "", "not a known word", "escalate"),
        (
            "{CLOUD_KEY}",
            "{CLOUD_KEYS}",
            '"${CLOUD_KEYS',
            "backends.cloud.api_key",
            "CLOUD_KEYS is not set",
            "export CLOUD_KEYS",
        ),
        (" price: {", " prise: {", "prise: ", "backends.cloud.prise", "unknown key", "did you mean 'price'?"),
        ("output_usd_per_mtok: 1.80", "output_usd_per_mtok: -1", "-1}", "", "out of bounds", "at least 0"),
        ("keys_file: keys.yaml", "keys_file: none.yaml", "none.yaml", "keys_file", "cannot be read", "check the path"),
        ("affinity: {", "journal: {collection: x}\n    affinity: {", "journal: ", "", "unknown key", "known here"),
        (
            "aliases: {gpt-4o-mini: headrace/auto}",
            "aliases: {gpt: headrace/out}",
            "headrace/out",
            "aliases.gpt",
            "headrace/out",
            "headrace/auto",
        ),
        ("version: 1", "version: 2", "2\nserver", "version", "not a known word", "1"),
    ],
)
def test_a_mistake_is_told_at_its_place_with_its_cure(
    tmp_path: Path, *, old: str, new: str, at: str, path: str, what: str, cure: str
) -> None:
    text = SAMPLE.replace(old, new, 1)
    before = text[: text.index(at)]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    told = [str(problem) for problem in problems_of(tmp_path, text)]
    start = f"headrace.yaml:{line}:{column}: {path}"
    assert any(start in line and what in line and cure in line for line in told), (start, told)


def test_all_problems_of_all_kinds_are_told_together_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = SAMPLE.replace("port: 8080", "port: x").replace("then: [large]", "then: [lrage]", 1)
    text = text.replace("{CLOUD_KEY}", "{NOPE}").replace("{domain: {eq: code}}", "{domian: {eq: code}}")
    told = problems_of(tmp_path, text)
    assert [problem.place.line for problem in told] == [2, 7, 20, 26]


def test_a_value_from_the_environment_is_never_shown(tmp_path: Path) -> None:
    text = SAMPLE.replace("drain_s: 30", "drain_s: '${CLOUD_KEY}'")
    told = "\n".join(str(problem) for problem in problems_of(tmp_path, text))
    assert "drain_s" in told
    assert "cloud-secret-key-value" not in told


def test_a_missing_variable_is_not_told_a_second_time_as_a_wrong_type(tmp_path: Path) -> None:
    assert len(problems_of(tmp_path, SAMPLE.replace("{CLOUD_KEY}", "{NOPE}"))) == 1


def test_an_unreachable_rule_refuses_to_load(tmp_path: Path) -> None:
    rule = "{id: too-long,  when: {prompt_tokens: {gt: 3000}},                       use: large}"
    text = SAMPLE.replace(rule, f"{rule}\n      - {{id: never, when: {{prompt_tokens: {{gt: 4000}}}}, use: large}}")
    assert any("never" in str(problem) and problem.place.line == 19 for problem in problems_of(tmp_path, text))


def test_a_missing_default_rule_refuses_to_load(tmp_path: Path) -> None:
    assert problems_of(tmp_path, SAMPLE.replace("      - {id: default,   use: small}\n", ""))


def test_load_raises_one_config_error_with_every_line(tmp_path: Path) -> None:
    path = write(tmp_path, SAMPLE.replace("port: 8080", "port: x").replace("drain_s: 30", "drain_s: -1"))
    with pytest.raises(ConfigError) as caught:
        load(path, environ=environ(tmp_path), catalogue=Cards())
    assert len([line for line in caught.value.message.splitlines() if TOLD.fullmatch(line)]) == 2


def test_the_port_of_the_environment_wins(tmp_path: Path) -> None:
    assert load_text(tmp_path, extra={"HEADRACE_PORT": "9001"}).server.port == 9001


@pytest.mark.parametrize("port", ["x", "70000", "-1", "²"])
def test_a_bad_port_in_the_environment_is_a_problem(tmp_path: Path, port: str) -> None:
    (problem,) = problems_of(tmp_path, SAMPLE, {"HEADRACE_PORT": port})
    assert "HEADRACE_PORT" in problem.what


def test_a_host_that_others_reach_without_keys_refuses_to_start(tmp_path: Path) -> None:
    text = SAMPLE.replace("127.0.0.1", "0.0.0.0").replace("keys_file: keys.yaml\n", "")
    (problem,) = problems_of(tmp_path, text)
    assert problem.path == "server.host"
    assert "keys_file" in problem.cure
    assert problems_of(tmp_path, text, {"HEADRACE_API_KEYS": "a-key-that-is-long-enough"}) == []


def test_a_short_key_in_the_environment_is_refused_without_showing_it(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, SAMPLE, {"HEADRACE_API_KEYS": "hunter2"})
    assert "hunter2" not in str(problem)


def test_the_revision_follows_config_and_keys_file(tmp_path: Path) -> None:
    first = load_text(tmp_path).revision
    assert load_text(tmp_path).revision == first
    assert load_text(tmp_path, f"{SAMPLE}# more\n").revision != first
    write(tmp_path, SAMPLE, KEYS.replace("alice", "bobby"))
    changed = load(tmp_path / "headrace.yaml", environ=environ(tmp_path), catalogue=Cards())
    assert changed.revision != first
    assert changed.watched == (tmp_path / "headrace.yaml", tmp_path / "keys.yaml")


def test_a_problem_of_the_keys_file_is_told_in_the_keys_file(tmp_path: Path) -> None:
    path = write(tmp_path, SAMPLE, KEYS.replace("tenant", "tennant"))
    told = check(path, environ=environ(tmp_path), catalogue=Cards())
    assert isinstance(told, list)
    assert any("keys.yaml:3:17: keys[0].tennant: unknown key; did you mean 'tenant'?" in str(each) for each in told)


@pytest.mark.parametrize("name", ["default", "three-tier", "strategies", "urls-example"])
def test_every_packaged_config_loads(tmp_path: Path, name: str) -> None:
    found = load(packaged(name), environ=environ(tmp_path), catalogue=Cards())
    assert "headrace/auto" in found.policy.virtual_models
    assert found.policy.aliases["gpt-4o-mini"] == "headrace/auto"


def test_without_a_file_the_packaged_default_loads(tmp_path: Path) -> None:
    found = load(environ=environ(tmp_path), catalogue=Cards())
    assert found.source == packaged()
    assert found.embeddings == "all-minilm-l6-v2"


def test_an_unknown_packaged_config_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'three-tier'"):
        packaged("three-teir")


def test_embeddings_need_a_model_that_embeds(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, f"{SAMPLE}embeddings: {{model: smollm2-135m-instruct-int8}}\n")
    assert "does not embed" in problem.what
    (problem,) = problems_of(tmp_path, f"{SAMPLE}embeddings: {{model: all-minilm-l6}}\n")
    assert "all-minilm-l6-v2" in problem.cure


def test_a_config_that_is_not_there_is_one_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.yaml", environ={}, catalogue=Cards())


def test_home_is_named_or_the_users_cache() -> None:
    assert home_folder({"HEADRACE_HOME": "/x"}) == Path("/x")
    assert home_folder({}).name == "headrace"


def test_loopback_is_told_from_the_rest() -> None:
    assert all(map(is_loopback, ["localhost", "127.0.0.1", "127.9.9.9", "::1"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "10.0.0.1", "example.com", ""]))


MUTANTS = st.builds(
    lambda cut, length, put: SAMPLE[:cut] + put + SAMPLE[cut + length :],
    st.integers(0, len(SAMPLE)),
    st.integers(0, 40),
    st.one_of(
        st.text(max_size=12),
        st.sampled_from(
            ["null", "[]", "{}", "-1", "&a ", "*a", "!!x ", "${X}", "9" * 30, "\t", ": ", "- ", "\n", "{{"]
        ),
    ),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(MUTANTS)
def test_no_mutation_of_the_sample_ever_raises_and_each_problem_has_its_place(tmp_path: Path, text: str) -> None:
    outcome = check(write_bytes(tmp_path, text), environ=environ(tmp_path), catalogue=Cards())
    if isinstance(outcome, Settings):
        assert replace(outcome) == outcome
    else:
        assert outcome
        assert all(TOLD.fullmatch(str(problem)) for problem in outcome)


def write_bytes(folder: Path, text: str) -> Path:
    path = write(folder)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return path
