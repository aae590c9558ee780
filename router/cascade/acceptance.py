"""The answer judge: calibrated P(answer is right) from token log-probabilities, per model and per domain.

One logistic curve a model and a horizon (8, 16, 32 tokens, the whole answer), each domain with a level of its own:
a small model is confident where it is wrong, so its log-probabilities are never pooled over domains. JSON stands
beside the domains as one of its own. Where a model was never right the level keeps every answer low. What `max_risk`
promises, and by which floor, is told in risk.py: at most that share of the requests of a domain that reach the model
get a wrong answer kept. Pure, numpy-free; safe to share. The file is written by headrace.router.training.calibrate.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from headrace.contracts.errors import ConfigError
from headrace.contracts.routing import Confidence
from headrace.router.cascade.risk import NEVER, RiskCurve

FORMAT: Final = "headrace-calibration"
FORMAT_VERSION: Final = 1
PACKAGED: Final = Path(__file__).with_name("calibration") / "default.json"

HORIZONS: Final = (8, 16, 32)
WHOLE: Final = "whole"
RUNNING: Final = "running"
JSON_DOMAIN: Final = "json"
FEATURES: Final = ("mean", "least", "low", "length", "cut")
# The best features an answer can have: log-probabilities of 0, one token, not cut off.
_LOW_RANK: Final = 0.15
_UNSEEN: Final = "no calibration for this model and domain"


class Curve(msgspec.Struct, frozen=True):
    """sigmoid(level[domain] + slopes . features)."""

    slopes: tuple[float, ...]
    levels: Mapping[str, float]

    def value(self, features: Sequence[float], domain: str) -> float:
        """Return P(right)."""
        return _sigmoid(
            self.levels[domain] + sum(slope * one for slope, one in zip(self.slopes, features, strict=True))
        )

    def best(self, domain: str) -> float:
        """Return an upper bound of `value` over every answer: log-probabilities of 0, whatever the length."""
        level = self.levels.get(domain)
        if level is None:
            return 0.0
        # Features are at most 0 but for length and cut, which are at least 0: only a slope of the other sign lifts.
        lift = sum(max(0.0, slope * _REACH[name]) for name, slope in zip(FEATURES, self.slopes, strict=True))
        return _sigmoid(level + lift)


_ROUNDING: Final = 1e-9
_REACH: Final = {"mean": -6.0, "least": -12.0, "low": -8.0, "length": 8.0, "cut": 1.0}


class ModelCalibration(msgspec.Struct, frozen=True):
    """The curves of one model: horizon or WHOLE (JSON's under "json:") -> curve; base: domain -> share right.

    risk: RUNNING or WHOLE -> domain -> the curve that turns an accepted risk into a floor. Without one an answer is
    kept when its own chance of being wrong is below the accepted risk.
    """

    curves: Mapping[str, Curve]
    base: Mapping[str, float]
    risk: Mapping[str, Mapping[str, RiskCurve]] = {}

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Self:
        """Build from the file's form."""
        curves = {
            name: Curve(tuple(map(float, curve["slopes"])), {key: float(one) for key, one in curve["levels"].items()})
            for name, curve in raw["curves"].items()
        }
        risk = {
            mode: {
                domain: RiskCurve(int(one["answers"]), tuple(map(float, one["wrong"]))) for domain, one in by.items()
            }
            for mode, by in raw.get("risk", {}).items()
        }
        return cls(curves, {key: float(one) for key, one in raw["base"].items()}, risk)

    def value(self, horizon: str, features: Sequence[float], domain: str) -> float:
        """Return P(right) of an answer in a domain of `base`."""
        name = f"{JSON_DOMAIN}:{horizon}" if domain == JSON_DOMAIN else horizon
        return self.curves[name].value(features, domain)

    def floor(self, mode: str, domain: str, max_risk: float) -> float:
        """Return the value above which an answer is kept."""
        curve = self.risk.get(mode, {}).get(domain)
        return 1.0 - max_risk - _ROUNDING if curve is None else curve.floor(max_risk)

    def keeps_unseen(self, domain: str, max_risk: float) -> bool:
        """Tell whether an answer is kept before anything of it was seen."""
        curve = self.risk.get(RUNNING, {}).get(domain)
        if curve is not None and not curve.keeps_all(max_risk):
            return False
        return self.base[domain] > self.floor(RUNNING, domain, max_risk)

    def ceiling(self, domain: str) -> float:
        """Return the most that any answer in the domain can reach, at any horizon."""
        return max((curve.best(domain) for curve in self.curves.values()), default=0.0)


class CalibratedJudge:
    """Implements contracts.AnswerJudge from one calibration file. Knows nothing: every answer is unsure and final."""

    def __init__(self, models: Mapping[str, ModelCalibration], *, sha256: str = "") -> None:
        self.models = models
        self.sha256 = sha256
        self._ceilings = {
            (model, domain): calibration.ceiling(domain)
            for model, calibration in models.items()
            for domain in calibration.base
        }

    def is_calibrated(self, *, model: str, domain: str) -> bool:
        """True when there is calibration data for this model and domain."""
        return (model, domain) in self._ceilings

    def prefix(self, logprobs: Sequence[float], *, model: str, domain: str, json: bool, max_risk: float) -> Confidence:
        """Judge a running answer at the last horizon it has passed; before the first, by the domain's level alone.

        Final: at a horizon that says enough, at the last horizon, or when no answer of this model in this domain
        could ever be enough.
        """
        kind = JSON_DOMAIN if json else domain
        calibration = self.models.get(model)
        ceiling = self._ceilings.get((model, kind))
        if calibration is None or ceiling is None:
            return Confidence(value=0.0, enough=False, final=True, why=_UNSEEN)
        floor = calibration.floor(RUNNING, kind, max_risk)
        if ceiling <= floor:
            why = f"{model} never passes {floor:.2f} in {kind}: at most {ceiling:.2f}"
            if floor == NEVER:
                why = f"{model} has too few calibrated answers in {kind} to promise a risk of {max_risk:g}"
            return Confidence(value=calibration.base[kind], enough=False, final=True, why=why)
        reached = [horizon for horizon in HORIZONS if horizon <= len(logprobs)]
        if not reached:
            value = calibration.base[kind]
            enough = calibration.keeps_unseen(kind, max_risk)
            return Confidence(value=value, enough=enough, final=False, why=f"{kind} before {HORIZONS[0]} tokens")
        horizon = reached[-1]
        value = calibration.value(str(horizon), features(logprobs[:horizon]), kind)
        enough = value > floor
        return Confidence(
            value=value, enough=enough, final=enough or horizon == HORIZONS[-1], why=f"{kind} after {horizon} tokens"
        )

    def whole(
        self, logprobs: Sequence[float], *, model: str, domain: str, json: bool, max_risk: float, finish_reason: str
    ) -> Confidence:
        """Judge a finished answer. An answer without evidence is not enough."""
        kind = JSON_DOMAIN if json else domain
        calibration = self.models.get(model)
        if calibration is None or (model, kind) not in self._ceilings:
            return Confidence(value=0.0, enough=False, final=True, why=_UNSEEN)
        if not logprobs:
            return Confidence(value=0.0, enough=False, final=True, why="an answer without evidence")
        is_cut = finish_reason == "length"
        value = calibration.value(WHOLE, features(logprobs, whole=True, cut=is_cut), kind)
        enough = value > calibration.floor(WHOLE, kind, max_risk)
        return Confidence(value=value, enough=enough, final=True, why=f"{kind}, whole answer")


def features(logprobs: Sequence[float], *, whole: bool = False, cut: bool = False) -> tuple[float, ...]:
    """Return the features of an answer, in the order of FEATURES; length and cut only count for whole answers."""
    count = len(logprobs)
    ordered = sorted(logprobs)
    return (
        max(sum(ordered) / count, _REACH["mean"]),
        max(ordered[0], _REACH["least"]),
        max(ordered[int(count * _LOW_RANK)], _REACH["low"]),
        min(math.log(count), _REACH["length"]) if whole else 0.0,
        float(whole and cut),
    )


def load(path: Path | None = None) -> CalibratedJudge:
    """Load a calibration file, or the packaged one; ConfigError when it is missing, altered or of another version."""
    file = path or PACKAGED
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise ConfigError(
            f"{file}: no readable calibration ({exc}); make one with `headrace router calibrate`"
        ) from exc
    found = (raw.get("format"), raw.get("format_version"))
    if found != (FORMAT, FORMAT_VERSION):
        raise ConfigError(f"{file}: format {found}, this version reads {(FORMAT, FORMAT_VERSION)}; calibrate again")
    if raw.get("models_sha256") != fingerprint(raw["models"]):
        raise ConfigError(f"{file}: altered since it was written (sha256 differs); calibrate again")
    try:
        models = {model: ModelCalibration.read(one) for model, one in raw["models"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise ConfigError(f"{file}: malformed calibration ({exc!r}); calibrate again") from exc
    return CalibratedJudge(models, sha256=raw["models_sha256"])


def fingerprint(models: Mapping[str, Any]) -> str:
    """Return the sha256 of the models part in its canonical form."""
    return hashlib.sha256(json.dumps(models, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _sigmoid(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, value))))
