import json
import os
from pathlib import Path

from headrace.models.backends.kernels import (
    KernelChoice,
    KernelReport,
    clear_report,
    kernel_argv,
    kernel_env,
    read_report,
)

ALL = KernelChoice({"budget": 2048, "method": "mean"}, has_moe=True, quantization="int4")


def test_no_choice_changes_neither_line_nor_environment(tmp_path: Path) -> None:
    assert kernel_argv(None, on_gpu=True, environ={"HEADRACE_KERNELS": "auto"}) == ()
    assert kernel_env(None, state=tmp_path, environ={"HEADRACE_KERNELS": "auto"}) == {}


def test_a_choice_is_said_in_the_plug_ins_words(tmp_path: Path) -> None:
    line = " ".join(kernel_argv(ALL, on_gpu=True, environ={}))
    custom = '{"backend_per_kind": {"full_attention": "CUSTOM"}}'
    assert line == f"--attention-config {custom} --block-size 64 --quantization headrace_int4"
    env = kernel_env(ALL, state=tmp_path, environ={"HEADRACE_KERNELS": "torch"})
    assert env == {
        "HEADRACE_KERNELS": "torch",
        "HEADRACE_KERNELS_STATE": str(tmp_path),
        "HEADRACE_ATTENTION": "sparse",
        "HEADRACE_ATTENTION_OPTIONS": '{"budget": 2048, "method": "mean"}',
        "HEADRACE_MOE": "headrace",
    }


def test_a_cpu_engine_names_no_attention_backend() -> None:
    assert kernel_argv(KernelChoice({}), on_gpu=False, environ={}) == ()


def test_the_kill_switch_leaves_vllms_own_command_line(tmp_path: Path) -> None:
    off = {"HEADRACE_KERNELS": "off"}
    assert kernel_argv(ALL, on_gpu=True, environ=off) == ()
    assert kernel_env(ALL, state=tmp_path, environ=off)["HEADRACE_KERNELS"] == "off"


def write(folder: Path, pid: int, **said: object) -> None:
    (folder / f"{pid}.json").write_text(json.dumps(said))


def test_counts_of_all_processes_add_up_and_hooks_are_those_that_still_run(tmp_path: Path) -> None:
    gone = 2**22 + 1  # above the largest process id there is
    write(tmp_path, gone, served={"moe": 2}, refusals=[["moe", "lora", 1]], failed={"moe": "ImportError: x"})
    write(tmp_path, os.getpid(), served={"moe": 3}, refusals=[["moe", "lora", 4]], installed={"moe": "M"}, failed={})
    (tmp_path / "7.json").write_text("{")
    assert read_report(tmp_path) == KernelReport({"moe": "M"}, {}, {"moe": 5}, {("moe", "lora"): 5})


def test_a_new_gateway_begins_without_the_old_counts(tmp_path: Path) -> None:
    write(tmp_path, 1, served={"moe": 2})
    clear_report(tmp_path)
    assert read_report(tmp_path) == KernelReport()
    assert read_report(tmp_path / "none") == KernelReport()
