"""Which `max_risk` does the default cascade deserve? Every choice replayed on the calibration questions, cross-fitted.

`make bench NAME=max_risk`, about six minutes. The calibration questions are cut into five folds; for each fold the
difficulty model and the answer judge are fitted without its questions, so neither has seen what it judges. None of the
questions of `cascade_live` is read: a choice made here can be tested there.
"""

import csv
import hashlib
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.cascade.replay import Replay, Result, cards_by_model, random_mix, single
from benchmarks.cascade_live import LARGE, SMALL, VIRTUAL_MODEL, plain, slice_of
from benchmarks.overhead import host
from headrace.contracts.policy import Policy
from headrace.gateway.settings.load import load as load_settings
from headrace.gateway.settings.load import packaged
from headrace.router.cascade.acceptance import CalibratedJudge, ModelCalibration
from headrace.router.difficulty.model import load as load_difficulty
from headrace.router.training import assemble, corpus
from headrace.router.training.calibrate import calibrate
from headrace.router.training.table import Entry, read_table
from headrace.router.training.train import train

RESULT: Final = Path(__file__).parent / "results" / "max_risk.csv"
RISKS: Final = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3)
FOLDS: Final = 5
FIGURES: Final = ("right_percent", "random_percent", "minus_random_points", "kept", "right_when_kept_percent", "cost")


def fold_of(entry: Entry) -> int:
    """Return the fold of a question; its JSON twin is in the same."""
    return int(hashlib.sha256(entry.question_id.removesuffix("#json").encode()).hexdigest(), 16) % FOLDS


def with_risk(policy: Policy, max_risk: float) -> Policy:
    """Return the policy with another accepted risk."""
    model = policy.virtual_models[VIRTUAL_MODEL]
    low = model.on_low_confidence
    if low is None:
        raise ValueError(f"{VIRTUAL_MODEL} judges no answers")
    changed = replace(model, on_low_confidence=replace(low, max_risk=max_risk))
    return replace(policy, virtual_models={VIRTUAL_MODEL: changed})


def replays(policy: Policy, entries: Sequence[Entry]) -> list[Replay]:
    """Fit both models without each fold; return what judges that fold."""
    examples = assemble.training_examples(corpus.data_dir())
    found = []
    for fold in range(FOLDS):
        held = {entry.question_id for entry in entries if fold_of(entry) == fold}
        with tempfile.TemporaryDirectory() as folder:
            train([one for one in examples if one.question_id not in held], Path(folder))
            difficulty = load_difficulty(Path(folder))
        content = calibrate([entry for entry in entries if fold_of(entry) != fold])
        judge = CalibratedJudge({model: ModelCalibration.read(one) for model, one in content["models"].items()})
        found.append(Replay(policy, VIRTUAL_MODEL, difficulty, judge))
        print(f"fold {fold + 1} of {FOLDS} is fitted", flush=True)
    return found


def figures(entries: Sequence[Entry], cascade: Sequence[Result], policy: Policy) -> list[float]:
    """Return FIGURES of one risk on one slice; random: the mix of the two models that costs the same."""
    cards = cards_by_model(policy)
    small, large = ([single(one, cards[name]) for one in entries] for name in (SMALL, LARGE))
    costs = [statistics.fmean(one.cost_microusd for one in results) for results in (small, large, cascade)]
    rights = [100 * statistics.fmean(one.right for one in results) for results in (small, large, cascade)]
    mixed = random_mix((costs[0], costs[1]), costs[2], (rights[0], rights[1]))
    kept = [one.right for one in cascade if one.model == SMALL]
    return [rights[2], mixed, rights[2] - mixed, len(kept), 100 * statistics.fmean(kept) if kept else 100.0, costs[2]]


def main() -> None:
    """Replay every risk and write the table."""
    policy = load_settings(packaged()).policy
    every = read_table(split="calibration")
    fitted = replays(policy, every)
    entries = plain(every)
    slices = {"all": entries, "easy": [one for one in entries if slice_of(one.kind) == "easy"]}
    stamp = {"date": host.now(), "commit": host.commit(), "device": host.device(), "versions": host.versions("numpy")}
    with RESULT.open("w", newline="") as sink:
        out = csv.writer(sink, lineterminator="\n")
        out.writerow([*stamp, "slice", "max_risk", "questions", *FIGURES])
        for name, chosen in slices.items():
            for risk in RISKS:
                changed = with_risk(policy, risk)
                cascade = [replace(fitted[fold_of(one)], policy=changed).cascade(one) for one in chosen]
                cells = [f"{one:.4g}" for one in figures(chosen, cascade, policy)]
                out.writerow([*stamp.values(), name, risk, len(chosen), *cells])
                print(name, risk, *(f"{figure} {cell}" for figure, cell in zip(FIGURES, cells, strict=True)))


if __name__ == "__main__":
    main()
