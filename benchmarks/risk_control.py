"""Tries whether `max_risk` keeps its promise on questions not seen.

`make bench NAME=risk_control`, about two minutes. The promise: of the requests of a domain that reach a model, at most
that share get a wrong answer kept. Rows "calibration then test" use the floors that calibration gives, once, on the
test questions. Rows "1,000 resamples" draw calibration and test anew, by question, from both splits; scores there come
from curves cross-fitted over all questions, so that a floor is always chosen on other questions than it is tried on.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.answer_side.recipes import PRESENT, RECIPES, cases, right
from benchmarks.overhead import host
from headrace.router.cascade.acceptance import RUNNING, WHOLE
from headrace.router.cascade.risk import NEVER, RiskCurve
from headrace.router.training.answer_metrics import bootstrapped, ece
from headrace.router.training.calibrate import fit
from headrace.router.training.risk_control import Scored, cross_fitted, risk_curves, score
from headrace.router.training.table import Entry, models_of, read_table

RESULT: Final = Path(__file__).parent / "results" / "risk_control.csv"
RISKS: Final = (0.05, 0.1, 0.2)
RESAMPLES: Final = 1000
CALIBRATION_SHARE: Final = 0.6
SEED: Final = 20261122
ONCE: Final = "calibration then test"
OFTEN: Final = "1,000 resamples"
PER_ANSWER: Final = "keep above 1 - risk (no promise)"
CONFORMAL: Final = "conformal floor"
HEAD: Final = ("part", "model", "mode", "domain", "rule", "target", "questions", "figure", "value", "low95", "high95")

Doubles = npt.NDArray[np.float64]
Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """What a rule made of test requests, as shares of all of them."""

    wrong_and_kept: float
    kept: float

    @property
    def right_when_kept(self) -> float:
        """Return the share right among the kept."""
        return 1.0 - self.wrong_and_kept / self.kept if self.kept else 1.0


def value_of(one: Scored, mode: str) -> float:
    """Return an answer's score in a mode."""
    return one.running if mode == RUNNING else one.whole


def kept(tested: Sequence[Scored], mode: str, floors: Mapping[str, float]) -> Kept:
    """Apply a floor a domain; a domain without one keeps nothing."""
    chosen = [one for one in tested if value_of(one, mode) > floors.get(one.domain, NEVER)]
    return Kept(sum(not one.right for one in chosen) / len(tested), len(chosen) / len(tested))


def floors(known: Iterable[Scored], model: str, mode: str, risk: float) -> dict[str, float]:
    """Return the conformal floor of every domain."""
    curves = risk_curves(known).get(model, {}).get(mode, {})
    return {domain: RiskCurve(one["answers"], tuple(one["wrong"])).floor(risk) for domain, one in curves.items()}


def once_rows(calibration: Sequence[Entry], test: Sequence[Entry], model: str) -> Iterator[Row]:
    """Yield what the floors of the calibration split leave on the test split, over all and by domain."""
    known = [one for one in cross_fitted(calibration, fit) if one.model == model]
    tested = [one for one in score(test, fit(calibration)) if one.model == model]
    domains = {"all": tested, **_by_domain(tested)}
    for mode in (RUNNING, WHOLE):
        for risk in RISKS:
            rules = {
                CONFORMAL: floors(known, model, mode, risk),
                PER_ANSWER: dict.fromkeys({one.domain for one in tested}, 1.0 - risk),
            }
            for rule, by_domain in rules.items():
                for domain, members in domains.items():
                    place = (ONCE, model, mode, domain, rule, f"{risk}", str(len(members)))
                    yield from _kept_rows(place, kept(members, mode, by_domain))


def often_rows(entries: Sequence[Entry], model: str) -> Iterator[Row]:
    """Yield realised risk over many draws of calibration and test, its spread, and how often it passes the target."""
    scored = [one for one in cross_fitted(entries, fit) if one.model == model]
    for mode in (RUNNING, WHOLE):
        for risk in RISKS:
            draws: dict[str, list[Kept]] = {domain: [] for domain in ("all", *sorted(_by_domain(scored)))}
            for known, tested in _partitions(scored):
                by_domain = floors(known, model, mode, risk)
                for domain, members in {"all": tested, **_by_domain(tested)}.items():
                    draws[domain].append(kept(members, mode, by_domain))
            for domain, found in draws.items():
                yield from _often((OFTEN, model, mode, domain, CONFORMAL, f"{risk}", str(len(scored))), found, risk)


def _often(place: Row, found: Sequence[Kept], risk: float) -> Iterator[Row]:
    for figure, values in {
        "wrong_and_kept": np.array([one.wrong_and_kept for one in found]),
        "kept": np.array([one.kept for one in found]),
        "right_when_kept": np.array([one.right_when_kept for one in found]),
    }.items():
        low, high = np.quantile(values, (0.025, 0.975))
        yield (*place, figure, *(f"{one:.4f}" for one in (values.mean(), low, high)))
    passed = float(np.mean([one.wrong_and_kept > risk for one in found]))
    yield (*place, "share_of_draws_above_target", f"{passed:.4f}", "", "")


def honesty_rows(calibration: Sequence[Entry], test: Sequence[Entry], model: str) -> Iterator[Row]:
    """Yield the expected calibration error on the test split before and after calibration."""
    known, asked = cases(calibration, model), cases(test, model)
    for name in ("exp(mean log-probability), not calibrated", PRESENT):
        seen = bootstrapped(ece, RECIPES[name](known, asked), right(asked), resamples=RESAMPLES, seed=SEED)
        place = ("calibration error", model, WHOLE, "all", name, "", str(len(asked)), "ece")
        yield (*place, *(f"{one:.4f}" for one in (seen.value, seen.low, seen.high)))


def _kept_rows(place: Row, found: Kept) -> Iterator[Row]:
    figures = (
        ("wrong_and_kept", found.wrong_and_kept),
        ("kept", found.kept),
        ("right_when_kept", found.right_when_kept),
    )
    for figure, value in figures:
        yield (*place, figure, f"{value:.4f}", "", "")


def _by_domain(scored: Iterable[Scored]) -> dict[str, list[Scored]]:
    groups: dict[str, list[Scored]] = {}
    for one in scored:
        groups.setdefault(one.domain, []).append(one)
    return groups


def _partitions(scored: Sequence[Scored]) -> Iterator[tuple[list[Scored], list[Scored]]]:
    """Yield random calibration and test parts; a question and its JSON twin stay together."""
    names = sorted({one.question_id.removesuffix("#json") for one in scored})
    rng = np.random.default_rng(SEED)
    for _ in range(RESAMPLES):
        picked = rng.permutation(len(names))[: round(CALIBRATION_SHARE * len(names))]
        inside = {names[row] for row in picked}
        is_in = [one.question_id.removesuffix("#json") in inside for one in scored]
        yield (
            [one for one, known in zip(scored, is_in, strict=True) if known],
            [one for one, known in zip(scored, is_in, strict=True) if not known],
        )


def main() -> None:
    """Try the promise and write the table."""
    calibration, test = (read_table(split=split) for split in ("calibration", "test"))
    models = models_of(calibration)
    rows: list[Row] = []
    for model in models:
        rows += honesty_rows(calibration, test, model)
        rows += once_rows(calibration, test, model)
        rows += often_rows([*calibration, *test], model)
        print(f"{model}: {len(rows)} rows so far", flush=True)
    stamp = {"date": host.now(), "commit": host.commit(), "device": host.device(), "versions": host.versions("numpy")}
    with RESULT.open("w", newline="") as sink:
        out = csv.writer(sink, lineterminator="\n")
        out.writerow([*stamp, *HEAD])
        out.writerows([*stamp.values(), *row] for row in rows)


if __name__ == "__main__":
    main()
