import csv
import io
import json
from dataclasses import replace

from headrace.kernels.inspect import report, roofline
from headrace.kernels.inspect.bytes_moved import Moved
from headrace.kernels.inspect.facts import Counts, Facts

OURS = Facts(
    "headrace", "moe_gemm", "kernel", "sm_90", "decode", "T=1", "M=16", 4, 3, registers=96, occupancy=0.25,
    reads_weights=True, counts=Counts(matrix=8, weight_bytes=100, weight_bytes_wide=100),
)  # fmt: skip
THEIRS = replace(
    OURS, whose="vllm", kernel="fused", occupancy=0.5, counts=Counts(matrix=8, weight_bytes=100, weight_bytes_wide=20)
)
MOVED = [Moved("moe_gemm", "T=1", 1000, 1100)]
FLOORS = [roofline.gate(4096, 128)]


def test_ours_is_held_beside_what_it_replaces_with_what_is_worse_named_too() -> None:
    row = report.rows([OURS, THEIRS])[0]
    assert row["beside_vllm"] == "better: wide loads; equal: spill, matrix unit; worse: occupancy"
    assert report.rows([OURS, THEIRS])[1]["beside_vllm"] == ""


def test_only_the_same_op_role_architecture_and_kind_of_weights_are_compared() -> None:
    others = [replace(THEIRS, arch="sm_80"), replace(THEIRS, role="prefill"), replace(THEIRS, error="no")]
    others.append(replace(THEIRS, shape="T=1 int4"))
    assert report.rows([OURS, *others])[0]["beside_vllm"] == ""


def test_the_table_has_a_line_a_kernel_and_says_what_did_not_compile() -> None:
    lines = list(report.table([OURS, replace(THEIRS, error="PTXASError: no")]))
    assert len(lines) == 4
    assert lines[0].split()[:3] == ["op", "whose", "arch"]
    assert "1.00" in lines[1]
    assert lines[3].endswith("PTXASError: no")


def test_bytes_and_floors_are_said_with_their_figures() -> None:
    said = list(report.further(MOVED, FLOORS))
    assert said[0] == "bytes  moe_gemm [T=1]: 1,000 needed, 1,100 issued, 1.10"
    assert "2.4 MB, 0.7 us on an H100" in said[1]


def test_the_csv_has_a_line_a_kernel_a_call_and_a_floor_and_calls_them_predicted() -> None:
    out = io.StringIO()
    report.write_csv([OURS], MOVED, FLOORS, out)
    kernel, moved, floor = csv.DictReader(io.StringIO(out.getvalue()))
    assert (kernel["kind"], kernel["registers"], kernel["wide_share"], kernel["error"]) == ("kernel", "96", "1.0", "")
    assert (kernel["basis"], kernel["floor_us"]) == ("predicted, not timed", "")
    assert (moved["kind"], moved["bytes_needed"], moved["bytes_issued"]) == ("bytes", "1000", "1100")
    assert (floor["kind"], floor["arch"], floor["floor_us"]) == ("floor", "H100 SXM", "0.7")


def test_the_json_document_holds_rows_bytes_floors_and_breaches() -> None:
    document = json.loads(report.document([OURS], MOVED, FLOORS, ["one"]))
    assert document["basis"] == "predicted, not timed"
    assert document["kernels"][0]["wide_share"] == 1.0
    assert document["bytes"][0]["ratio"] == 1.1
    assert document["breaches"] == ["one"]
    assert document["floors"][0]["op"] == "moe_gate"
