"""Draws the pictures of the documentation from result files; nothing is computed anew.

`make bench NAME=plots`, a few seconds; installs the extra `bench` (matplotlib) the first time.
"""

from pathlib import Path
from typing import Final

from benchmarks.cascade.long_table import read
from benchmarks.drawing.paper import Frame, Spot, draw
from benchmarks.drawing.series import (
    SPENT,
    cascade_panel,
    experts_panel,
    live_panel,
    read_rows,
    reliability_panel,
    risk_panel,
    sparse_panel,
)

HERE: Final = Path(__file__).parent
RESULTS: Final = HERE / "results"
PICTURES: Final = HERE.parent / "docs" / "img"

_SUMS, _CODE = "zeroeval_gsm", "zeroeval_crux"
_LARGE: Final = "gemma-2-9b-it + Phi-3.5-mini-instruct -> "
CASCADES: Final = (
    (_SUMS, f"{_LARGE}Llama-3.1-405B-Instruct-Turbo", "Sums: gemma-2-9b + Phi-3.5-mini, then Llama-3.1-405B"),
    (_SUMS, f"{_LARGE}Meta-Llama-3.1-70B-Instruct", "Sums: the same, then Llama-3.1-70B"),
    (_CODE, f"{_LARGE}Llama-3.1-405B-Inst@sambanova", "Code reasoning: the same, then Llama-3.1-405B"),
    (
        _CODE,
        "Qwen2.5-7B-Instruct + Qwen2.5-3B-Instruct -> Qwen2.5-72B-Instruct",
        "Code reasoning: Qwen2.5 7B + 3B, then 72B",
    ),
)
POOLS: Final = (
    (_SUMS, "models under 10B", "Sums, 7 models under 10B"),
    (_SUMS, "every model of known size", "Sums, every model of known size"),
    (_CODE, "models under 10B", "Code reasoning, 10 models under 10B"),
    (_CODE, "every model of known size", "Code reasoning, every model of known size"),
)
_CHAT, _CODER = "smollm2-135m-instruct-int8", "qwen2.5-coder-0.5b-instruct-int8"
LOSSES: Final = (
    (f"{_CODER} loss 2048", "loss_minus_dense_nats", "Qwen2.5-Coder-0.5B, code of 2,048 tokens"),
    (f"{_CHAT} loss 4096", "loss_minus_dense_nats", "SmolLM2-135M, prose of 4,096 tokens"),
)
NEEDLES: Final = (
    (f"{_CODER} needles 2048", "found_percent", "Qwen2.5-Coder-0.5B, code of 2,048 tokens"),
    (f"{_CHAT} needles 2048", "found_percent", "SmolLM2-135M, prose of 2,048 tokens"),
)
JUDGED: Final = (
    ("test", "smollm2-135m-instruct-int8", "SmolLM2-135M"),
    ("test", "qwen2.5-coder-0.5b-instruct-int8", "Qwen2.5-Coder-0.5B"),
    ("test", "qwen2.5-coder-1.5b-instruct-int8", "Qwen2.5-Coder-1.5B"),
)


def draw_cascades(results: Path, pictures: Path) -> None:
    """Draw quality against cost of the replayed cascades, with every control."""
    table = read(results / "cascade_replay.csv")
    labels = {
        "always weak": Spot(8, -3),
        "always strong": Spot(-6, 12),
        "best constant": Spot(6, -14),
        "oracle": Spot(9, 2),
        "cascade alone": Spot(-7, 8),
        "route first,\nwithin 40%": Spot(8, -24),
        "route first,\nwithin the margin": Spot(6, 22),
        "route first, every price": Spot(-38, 12, 0.8),
        "coin between weak and strong": Spot(120, 14, 0.0),
        "question router": Spot(12, -44, 0.5),
        "length router": Spot(12, -58, 0.5),
    }
    frame = Frame(
        "cost, percent of always-strong", "right, percent", "Replayed cascades, every draft paid, 95% intervals", labels
    )
    draw([cascade_panel(table, *one) for one in CASCADES], frame, pictures / "cascade-replay.png")


def draw_live(results: Path, pictures: Path) -> None:
    """Draw quality against cost, time and energy of the default tiers."""
    rows = read_rows(results / "cascade_live.csv")
    labels = {
        "always small": Spot(9, 0),
        "always large": Spot(-8, 8),
        "oracle": Spot(9, 0),
        "cascade": Spot(9, -14),
        "rules only": Spot(-8, 6),
        "best rule": Spot(-8, 4),
        "coin between small and large": Spot(115, 40, 0.0),
    }
    frame = Frame("", "right, percent", "The default tiers, recorded answers, every draft paid, 95% intervals", labels)
    slices = {"easy": "Easy questions", "all": "All questions"}
    panels = [live_panel(rows, load, figure, title) for load, title in slices.items() for figure in SPENT]
    draw(panels, frame, pictures / "cascade-live.png", columns=3)


def draw_experts(results: Path, pictures: Path) -> None:
    """Draw what a vote of K models gains over the best single one, against what it costs."""
    table = read(results / "experts_replay.csv")
    labels = {
        "the same K for every question": Spot(4, 12, 0.0),
        "K picked by predicted quality": Spot(10, -12, 0.4),
        "K picked by quality less cost": Spot(-6, 16, 0.6),
    }
    frame = Frame(
        "cost, times the best single model",
        "points over the best single model",
        "K = 1, 2, 3, 5 models vote (left to right), 95% intervals",
        labels,
        zero=True,
    )
    draw([experts_panel(table, *one) for one in POOLS], frame, pictures / "experts-replay.png")


def draw_judge(results: Path, pictures: Path) -> None:
    """Draw risk against coverage, and what the judge promised against what was found."""
    table = read(results / "judge_curves.csv")
    labels = {
        "the domain alone": Spot(2, 26, 0.0),
        "raw log-probability": Spot(10, 22),
        "shipped judge": Spot(30, -16, 0.05),
    }
    frame = Frame("answers kept, percent, surest first", "wrong among them, percent", "Risk against coverage", labels)
    draw([risk_panel(table, *one) for one in JUDGED], frame, pictures / "risk-coverage.png", columns=3)
    labels = {
        "as promised": Spot(-14, 0, 1.0),
        "the domain alone": Spot(7, -8, 1.0),
        "raw log-probability": Spot(14, -14),
        "shipped judge": Spot(-14, 12, 1.0),
    }
    frame = Frame("P(right) promised, percent", "found right, percent", "Reliability, bins of as many answers", labels)
    draw([reliability_panel(table, *one) for one in JUDGED], frame, pictures / "reliability.png", columns=3)


def draw_sparse(results: Path, pictures: Path) -> None:
    """Draw what a model loses under sparse attention, and from which kept share on it can pay at all."""
    table = read(results / "sparse_quality.csv")
    labels = {
        "dense": Spot(-8, 0, 0.0),
        "window + sink": Spot(14, 0, 0.0),
        "longformer": Spot(6, 12, 0.0),
        "bigbird": Spot(10, 4, 0.0),
        "top-k of means": Spot(-8, 0, 0.0),
        "top-k of extremes": Spot(-8, 0, 0.0),
        "top-p of means": Spot(8, 6, 0.0),
        "prefill breaks even": Spot(-4, -4, 1.0),
    }
    kept = "blocks kept, percent of the visible"
    frame = Frame(kept, "loss over dense, nats", "Sparse attention by blocks of 64: perplexity", labels)
    draw([sparse_panel(table, *one) for one in LOSSES], frame, pictures / "sparse-loss.png")
    labels = {
        "dense": Spot(-8, -10, 0.0),
        "decode, top-k of extremes": Spot(8, 10, 0.5),
        "decode, top-k of means": Spot(8, -8, 0.5),
        "top-k of extremes": Spot(8, -4, 1.0),
        "top-k of means": Spot(8, 0, 1.0),
        "window + sink": Spot(10, 0, 1.0),
        "prefill breaks even": Spot(4, -50, 1.0),
    }
    frame = Frame(kept, "needles found, percent", "Sparse attention by blocks of 64: needles", labels)
    draw([sparse_panel(table, *one) for one in NEEDLES], frame, pictures / "sparse-needles.png")


def main(results: Path = RESULTS, pictures: Path = PICTURES) -> None:
    """Draw every picture and say how large it is."""
    pictures.mkdir(parents=True, exist_ok=True)
    for one in (draw_cascades, draw_live, draw_experts, draw_judge, draw_sparse):
        one(results, pictures)
    for path in sorted(pictures.glob("*.png")):
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
