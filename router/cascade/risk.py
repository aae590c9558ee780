"""From an accepted risk to the floor an answer's score must pass: conformal risk control. Pure, safe to share.

The loss of a request is 1 when the tier's answer is wrong and kept, else 0. With n calibration requests and floor f the
promise is E[loss] <= max_risk for the next request of the same kind (Angelopoulos et al., arXiv 2208.02814): the
least f with n/(n+1) * share wrong and kept at f + 1/(n+1) <= max_risk. Only the scores of wrong answers decide it.
"""

import math
from typing import Final

import msgspec

NEVER: Final = math.inf
# An answer that is more likely wrong than right is not worth keeping, unless a higher risk is accepted outright.
EVEN: Final = 0.5
_ROUNDING: Final = 1e-9


class RiskCurve(msgspec.Struct, frozen=True):
    """What calibration saw of one model in one domain. wrong: scores of the wrong answers, highest first.

    answers counts every request, right or wrong, with or without a score.
    """

    answers: int
    wrong: tuple[float, ...]

    def floor(self, max_risk: float) -> float:
        """Return the score above which an answer may be kept; NEVER where no floor can promise so little risk."""
        allowed = self._allowed(max_risk)
        if allowed < 0:
            return NEVER
        least = min(EVEN, 1.0 - max_risk)
        return max(self.wrong[allowed], least) if allowed < len(self.wrong) else least

    def keeps_all(self, max_risk: float) -> bool:
        """Tell whether so much risk is accepted that every answer may be kept unseen."""
        return self._allowed(max_risk) >= len(self.wrong)

    def realised(self, floor: float) -> float:
        """Return the share of calibration requests that were wrong and kept at a floor."""
        return sum(score > floor for score in self.wrong) / self.answers if self.answers else 0.0

    def _allowed(self, max_risk: float) -> int:
        """Return how many of the wrong answers may be kept, -1 for not even a promise about none."""
        return math.floor(max_risk * (self.answers + 1) + _ROUNDING) - 1
