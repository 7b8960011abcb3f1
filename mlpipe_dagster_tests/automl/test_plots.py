"""The score plot is well-formed, self-contained and says what it shows."""

import dataclasses
from xml.etree import ElementTree

from mlpipe_dagster.automl.model import TrainedModel
from mlpipe_dagster.automl.plots import score_plot

SVG = "{http://www.w3.org/2000/svg}"


def test_names_are_escaped(planted_model: TrainedModel) -> None:
    trial = planted_model.leaderboard[0].model_copy(update={"algorithm": "<script>&", "note": '"'})
    plot = score_plot(dataclasses.replace(planted_model, leaderboard=(trial,)))
    ElementTree.fromstring(plot)
    assert "<script>" not in plot


def test_a_dot_for_each_trial_within_the_frame(planted_model: TrainedModel) -> None:
    root = ElementTree.fromstring(score_plot(planted_model))
    dots = root.findall(f"{SVG}circle")
    assert len(dots) == len(planted_model.leaderboard)
    assert all(52 <= float(dot.attrib["cx"]) <= 466 and 14 <= float(dot.attrib["cy"]) <= 180 for dot in dots)
    texts = " ".join(text.text or "" for text in root.findall(f"{SVG}text"))
    assert f"test accuracy {planted_model.test_score.value:.3f}" in texts
    assert "best simple method: baseline" in texts
