"""How much of an explanation's seconds each of its parts may take, and what each did with them.

A part has a size that is right for it and is cut down only where the model is too slow for that, so that the same
seed gives the same explanation on any machine that is fast enough.
"""

from dataclasses import dataclass, field

from mlpipe_dagster.xai.pieces import How, Output, Part, PartName

SHARES: dict[PartName, float] = {
    "shap": 0.3,
    "permutation": 0.15,
    "dependence": 0.1,
    "ale": 0.1,
    "interactions": 0.1,
    "local": 0.05,
    "counterfactuals": 0.05,
    "surrogate": 0.05,
    "stability": 0.1,
}


@dataclass
class Budget:
    """Seconds for the whole explanation and what a single answer of the model costs."""

    seconds: float
    seconds_an_answer: float
    parts: list[Part] = field(default_factory=list)

    def share(self, part: PartName) -> float:
        """Seconds that `part` may take."""
        return self.seconds * SHARES.get(part, 0.0)

    def afford(self, part: PartName, samples: int, answers_each: float, least: int = 1) -> int:
        """`samples`, halved until their answers fit into the part's share; 0 where not even `least` fit."""
        while samples >= least and samples * answers_each * self.seconds_an_answer > self.share(part):
            samples //= 2
        return samples if samples >= least else 0

    def did(self, name: PartName, how: How, used: int = 0, of: int = 0, output: Output | None = None) -> None:
        """Note what a part did: `used` of `of` rows or columns, and which output of the model it is about."""
        self.parts.append(Part(name=name, how=how, used=used, of=of, output=output))
