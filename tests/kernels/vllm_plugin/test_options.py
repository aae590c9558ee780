import dataclasses
import json
from pathlib import Path

import pytest

from headrace.gateway.settings.build import _SPARSE_DEFAULTS
from headrace.gateway.settings.edge import SparseAttentionEdge
from headrace.kernels import dispatch
from headrace.kernels.vllm_plugin import options, state
from headrace.kernels.vllm_plugin.options import MoeOptions, Options, SparseOptions, read_options
from headrace.models.backends import kernels as asking


def test_an_empty_environment_switches_nothing_on() -> None:
    assert read_options({}) == Options()
    assert read_options({"HEADRACE_ATTENTION": "", "HEADRACE_MOE": "vllm"}).is_empty


def test_what_is_switched_on_has_its_own_defaults_and_takes_others() -> None:
    said = {
        "HEADRACE_ATTENTION": "sparse",
        "HEADRACE_ATTENTION_OPTIONS": json.dumps({"budget": 2048, "method": "mean"}),
        "HEADRACE_MOE": "headrace",
    }
    assert read_options(said) == Options(SparseOptions(budget=2048, method="mean"), MoeOptions())


@pytest.mark.parametrize(
    ("variable", "value", "what"),
    [
        ("HEADRACE_ATTENTION", "fast", "HEADRACE_ATTENTION='fast': write sparse"),
        ("HEADRACE_ATTENTION_OPTIONS", "{", "no JSON"),
        ("HEADRACE_ATTENTION_OPTIONS", "[]", "write a JSON object"),
        ("HEADRACE_ATTENTION_OPTIONS", '{"budgets": 1}', "no option 'budgets'; known here: budget"),
        ("HEADRACE_ATTENTION_OPTIONS", '{"budget": "many"}', "budget='many'; write a whole number"),
        ("HEADRACE_ATTENTION_OPTIONS", '{"budget": true}', "budget=True; write a whole number"),
        ("HEADRACE_ATTENTION_OPTIONS", '{"budget": -1}', "budget=-1"),
        ("HEADRACE_ATTENTION_OPTIONS", '{"method": "best"}', "method='best'; write mean or minmax"),
        (
            "HEADRACE_ATTENTION_OPTIONS",
            '{"dense_layers": [7, -1]}',
            "dense_layers=[7, -1]; write how many first layers",
        ),
        ("HEADRACE_ATTENTION_OPTIONS", '{"dense_layers": "7"}', "or a list of layers, counted from 0"),
        ("HEADRACE_ATTENTION_OPTIONS", '{"budget": 512}', "sink + local = 1152 tokens are more than the budget of 512"),
        ("HEADRACE_MOE_OPTIONS", '{"group": 48}', "group=48; write one of 32, 64, 128, 256"),
    ],
)
def test_a_bad_value_names_its_variable_and_the_cure(variable: str, value: str, what: str) -> None:
    environ = {"HEADRACE_ATTENTION": "sparse", "HEADRACE_MOE": "headrace", variable: value}
    with pytest.raises(ValueError, match=f"(?s){variable}") as raised:
        read_options(environ)
    assert what in str(raised.value)


def test_the_gateway_says_the_same_words_and_defaults() -> None:
    for name in ("ATTENTION_VARIABLE", "ATTENTION_OPTIONS_VARIABLE", "MOE_VARIABLE"):
        assert getattr(asking, name) == getattr(options, name)
    assert (asking.MODE_VARIABLE, asking.STATE_VARIABLE) == (dispatch.MODE_VARIABLE, state.STATE_VARIABLE)
    defaults = dataclasses.asdict(SparseOptions())
    assert {name: defaults[name] for name in _SPARSE_DEFAULTS} == _SPARSE_DEFAULTS
    assert set(SparseAttentionEdge.model_fields) == set(defaults)
    choice = asking.KernelChoice({"budget": 2048, "method": "mean", "dense_layers": [7, 18]}, has_moe=True)
    said = asking.kernel_env(choice, state=Path("/s"), environ={})
    wanted = SparseOptions(budget=2048, method="mean", dense_layers=(7, 18))
    assert read_options(said) == Options(wanted, MoeOptions())


def test_options_of_what_is_off_are_not_read() -> None:
    assert read_options({"HEADRACE_ATTENTION_OPTIONS": "{"}) == Options()
