from collections.abc import Iterator
from typing import Any

import pytest
import torch
from vllm.model_executor.layers.linear import LinearBase, UnquantizedLinearMethod
from vllm.model_executor.layers.quantization import get_quantization_config

from headrace.kernels import dispatch
from headrace.kernels.quant_layout import restore
from headrace.kernels.vllm_plugin import quant_config, quant_stand_in, state
from headrace.kernels.vllm_plugin.quant_config import HeadraceInt4Config, HeadraceInt8Config, QuantizedMoeMethod
from tests.support.kernels.experts import EXPERTS, HIDDEN, INNER, TOP_K, by_hand, layer, load, moe_config
from tests.support.kernels.layers import current_config


@pytest.fixture(autouse=True)
def _config() -> Iterator[None]:
    state.forget()
    with current_config():
        yield
    state.forget()


def error_of(bits: Any) -> tuple[float, float]:
    """Return the relative error of rounded experts against what was loaded, and against what they stand for."""
    method, module = QuantizedMoeMethod(moe_config(), bits, 128), layer()
    load(method, module)
    x, logits = torch.randn(64, HIDDEN), torch.randn(64, EXPERTS)
    weights, ids = logits.softmax(-1).topk(TOP_K)
    weights = weights / weights.sum(-1, keepdim=True)
    wanted = by_hand(module, x, weights, ids)
    method.process_weights_after_loading(module)
    found = method.apply_monolithic(module, x, logits).double()
    assert method.quant is not None
    assert module.w13_weight.element_size() * module.w13_weight[0].numel() == 2 * INNER * HIDDEN * bits // 8
    plain = torch.nn.Module()
    for name, k, scale in (
        ("w13_weight", HIDDEN, method.quant.w13_scale), ("w2_weight", INNER, method.quant.w2_scale),
    ):  # fmt: skip
        setattr(plain, name, restore(getattr(module, name).data, scale, None, k=k, dtype=torch.float64))
    stood_for = by_hand(plain, x, weights, ids)
    modular = method.apply(module, x, weights, ids, None, None).double()
    torch.testing.assert_close(modular, found, atol=1e-6, rtol=0)
    scale = wanted.pow(2).mean().sqrt()
    return tuple(float((found - each).pow(2).mean().sqrt() / scale) for each in (wanted, stood_for))  # type: ignore[return-value]


def test_rounded_experts_are_near_and_exactly_what_they_stand_for() -> None:
    for bits, most in ((8, 0.02), (4, 0.2)):
        loss, arithmetic = error_of(bits)
        assert arithmetic < 1e-5
        assert 0.0005 < loss < most


def test_both_names_are_known_to_vllm_once_registered() -> None:
    assert quant_config.register_all() == quant_config.register_all() == "headrace_int8, headrace_int4"
    assert get_quantization_config("headrace_int8") is HeadraceInt8Config
    config = get_quantization_config("headrace_int4")()
    assert (config.get_name(), config.bits) == ("headrace_int4", 4)
    assert config.get_min_capability() == 80
    assert config.get_config_filenames() == []
    assert torch.bfloat16 in config.get_supported_act_dtypes()


def test_a_checkpoint_that_is_quantized_already_is_refused_with_its_method() -> None:
    with pytest.raises(ValueError, match="gptq"):
        HeadraceInt4Config.from_config({"quant_method": "gptq"})


def test_only_experts_are_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quant_config, "RoutedExperts", torch.nn.Identity)
    experts = torch.nn.Identity()
    experts.moe_config = moe_config()
    config = HeadraceInt4Config()
    method = config.get_quant_method(experts, "model.layers.0.mlp.experts")
    assert isinstance(method, QuantizedMoeMethod)
    assert (method.bits, method.group) == (4, 32)
    product = LinearBase.__new__(LinearBase)
    assert isinstance(config.get_quant_method(product, "model.layers.0.self_attn.q_proj"), UnquantizedLinearMethod)
    assert config.get_quant_method(torch.nn.Module(), "lm_head") is None


def test_experts_that_no_group_divides_stay_as_they_were_loaded_and_are_counted() -> None:
    method, module = QuantizedMoeMethod(moe_config(intermediate_size=48), 8, 128), layer()
    method.create_weights(module, EXPERTS, HIDDEN, 48, torch.float32)
    method.process_weights_after_loading(module)
    assert method.quant is None
    assert module.w13_weight.dtype == torch.float32
    assert dispatch.refusals() == {("quantized_experts", "group-size"): 1}


def test_a_layer_that_is_not_eligible_is_not_rounded() -> None:
    method = QuantizedMoeMethod(moe_config(parallel={"use_ep": True, "ep_size": 2}), 8, 128)
    assert method.refusal == "expert-parallel"
    assert ("quantized_experts", "group-size") not in dispatch.refusals()


def test_stand_ins_know_both_names_and_round_nothing() -> None:
    assert "leave experts as they come" in quant_stand_in.register_all()
    try:
        for name in quant_stand_in.NAMES:
            config = get_quantization_config(name).from_config({"quant_method": "x"})
            assert config.get_name() == name
            product = LinearBase.__new__(LinearBase)
            assert isinstance(config.get_quant_method(product, ""), UnquantizedLinearMethod)
            assert config.get_quant_method(torch.nn.Module(), "") is None
            assert config.get_min_capability() == 0
            assert config.get_config_filenames() == []
            assert torch.float32 in config.get_supported_act_dtypes()
    finally:
        quant_config.register_all()
