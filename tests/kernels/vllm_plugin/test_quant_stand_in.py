from vllm.model_executor.layers.quantization import get_quantization_config

from headrace.kernels.vllm_plugin import quant_config, quant_stand_in


def test_a_later_start_with_the_kernels_on_takes_the_names_back() -> None:
    quant_stand_in.register_all()
    assert issubclass(get_quantization_config("headrace_int8"), quant_stand_in.Unquantized)
    quant_config.register_all()
    assert get_quantization_config("headrace_int8") is quant_config.HeadraceInt8Config
