import socket
from dataclasses import replace
from pathlib import Path

from headrace.models.backends.kernels import FULL_ATTENTION, KernelChoice
from headrace.models.backends.resources import Share
from headrace.models.backends.session import make_session
from headrace.models.backends.vllm import (
    EngineSpec,
    build_engine,
    engine_argv,
    engine_env,
    find_openmp,
    free_port,
    state_folder,
)

CPU = EngineSpec(
    "small",
    "smol",
    Path("/store/smol"),
    2048,
    Share(2, 2**30),
    ("--enable-auto-tool-choice", "--tool-call-parser", "x"),
)
GPU = EngineSpec("small", "smol", Path("/store/smol"), 2048, Share(8, 2**30, 0.45), is_eager=False)


def flags(spec: EngineSpec) -> str:
    return " ".join(engine_argv(spec, python=Path("/env/bin/python"), port=9))


def test_a_cpu_engine_gets_the_flags_it_needs() -> None:
    line = flags(CPU)
    assert line.startswith("/env/bin/python -m vllm.entrypoints.openai.api_server --model /store/smol")
    for flag in (
        "--served-model-name smol", "--host 127.0.0.1 --port 9", "--kv-cache-memory-bytes 1073741824",
        "--block-size 32", "--max-num-seqs 16", "--max-num-queued-reqs 64", "--enforce-eager",
        "--shutdown-timeout 30", "--tool-call-parser x", "--max-model-len 2048",
    ):  # fmt: skip
        assert flag in line
    assert "api-key" not in line


def test_a_gpu_engine_shares_memory_by_fraction_and_compiles() -> None:
    line = flags(GPU)
    assert "--gpu-memory-utilization 0.45" in line
    for flag in ("--block-size", "--enforce-eager", "--kv-cache"):
        assert flag not in line


def test_the_environment_keeps_the_gateways_secrets_out() -> None:
    environ = {"PATH": "/bin", "CLOUD_KEY": "s", "HEADRACE_API_KEYS": "s", "PYTHONPATH": "/x"}
    env = engine_env(CPU, key="k", home=Path("/h"), environ=environ, preload=Path("/env/lib/libiomp5.so"))
    assert not {"CLOUD_KEY", "HEADRACE_API_KEYS", "PYTHONPATH"} & set(env)
    assert env["VLLM_API_KEY"] == "k"
    assert env["LD_PRELOAD"] == "/env/lib/libiomp5.so"
    assert (env["OMP_NUM_THREADS"], env["VLLM_CPU_OMP_THREADS_BIND"]) == ("2", "nobind")
    assert env["HF_HUB_OFFLINE"] == env["VLLM_NO_USAGE_STATS"] == "1"
    assert "OMP_NUM_THREADS" not in engine_env(GPU, key="k", home=Path("/h"), environ=environ, preload=None)


def test_kernels_are_asked_for_only_where_the_spec_names_them(tmp_path: Path) -> None:
    chosen = replace(GPU, kernels=KernelChoice({"budget": 2048}, has_moe=True, quantization="int8"))
    added = f"--attention-config {FULL_ATTENTION} --block-size 64 --quantization headrace_int8"
    assert flags(chosen) == f"{flags(GPU)} {added}"
    plain, env = (engine_env(spec, key="k", home=tmp_path, environ={}, preload=None) for spec in (GPU, chosen))
    assert {name for name in env if name not in plain} == {
        "HEADRACE_ATTENTION", "HEADRACE_ATTENTION_OPTIONS", "HEADRACE_MOE", "HEADRACE_KERNELS_STATE",
    }  # fmt: skip
    assert not any(name.startswith("HEADRACE") for name in plain)


async def test_an_engine_that_uses_kernels_reports_in_a_folder_of_its_own(tmp_path: Path) -> None:
    folder = state_folder(CPU, tmp_path)
    folder.mkdir(parents=True)
    (folder / "7.json").write_text("{}")
    async with make_session() as session:
        spec = replace(CPU, kernels=KernelChoice(has_moe=True))
        engine = build_engine(spec, python=Path("/p"), home=tmp_path, session=session, environ={})
        assert build_engine(CPU, python=Path("/p"), home=tmp_path, session=session, environ={}).kernel_state is None
    assert engine.kernel_state == folder
    assert engine.process.env["HEADRACE_KERNELS_STATE"] == str(folder)
    assert not list(folder.iterdir())


async def test_an_engine_has_one_endpoint_with_a_key_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libiomp5.so").touch()
    python = tmp_path / "bin" / "python"
    assert find_openmp(python) == tmp_path / "lib" / "libiomp5.so"
    async with make_session() as session:
        one, two = (build_engine(CPU, python=python, home=tmp_path, session=session, environ={}) for _ in range(2))
    assert one.endpoint.kind == "vllm"
    assert one.endpoint.api_key != two.endpoint.api_key
    assert one.process.env["VLLM_API_KEY"] == one.endpoint.api_key
    assert one.endpoint.api_key not in repr(one)
    assert one.process.log == tmp_path / "logs" / "small.log"


def test_a_free_port_can_be_bound() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", free_port()))
