"""Forms of questions: which field each shape becomes, and what the texts of a form mean."""

from typing import Any

import pytest

from mlpipe_dagster.api.answer_forms import answer_of, fields_of
from mlpipe_dagster.api.engine_words import engine_choices

COLUMNS = ["sex", "age, in years", "town"]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "target": {"type": "string", "title": "Column to predict", "description": "One of them.", "enum": COLUMNS},
        "level": {"type": "string", "enum": list("abcdefg"), "default": "c"},
        "note": {"type": "string", "default": "none"},
        "story": {"type": "string", "maxLength": 500},
        "by": {"type": ["null", "string"], "format": "date"},
        "rows": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
        "share": {"type": "number", "multipleOf": 0.5},
        "folds": {"enum": [3, 5, None], "default": 5},
        "again": {"type": "boolean", "default": False},
        "sensitive": {"type": "array", "items": {"type": "string", "enum": COLUMNS}, "default": ["sex"]},
        "tags": {"type": "array", "items": {"type": "string"}, "default": ["x", "y"]},
        "sizes": {"type": "array", "items": {"type": "integer"}},
    },
    "required": ["target", "sensitive"],
}


def test_of_many_choices_those_that_are_chosen_are_shown() -> None:
    names = [*COLUMNS, *(f"c{number}" for number in range(40))]
    schema = {"properties": {"drop": {"type": "array", "items": {"enum": names}, "default": ["c7"]}}}
    (field,) = fields_of(schema)
    assert (field.kind, field.chosen, len(field.options)) == ("added", ("c7",), 43)
    typed = {"drop": ["", "sex", "age, in years", "c1, c2,sex", "nope"]}
    (field,) = fields_of(schema, typed)
    assert field.chosen == ("sex", "age, in years", "c1", "c2", "nope")
    assert answer_of(schema, typed) == {"drop": ["sex", "age, in years", "c1", "c2", "nope"]}


def test_every_shape_becomes_a_field() -> None:
    found = {field.name: field for field in fields_of(SCHEMA)}
    assert {name: (field.kind, field.chosen) for name, field in found.items()} == {
        "target": ("radio", ()),
        "level": ("select", ("c",)),
        "note": ("input", ("none",)),
        "story": ("lines", ()),
        "by": ("input", ()),
        "rows": ("input", ("3",)),
        "share": ("input", ()),
        "folds": ("radio", ("5",)),
        "again": ("radio", ("false",)),
        "sensitive": ("ticks", ("sex",)),
        "tags": ("input", ("x, y",)),
        "sizes": ("input", ()),
    }
    assert (found["target"].title, found["target"].hint, found["target"].required) == (
        "Column to predict",
        "One of them.",
        True,
    )
    assert (found["note"].title, found["note"].hint, found["note"].required) == ("note", "", False)
    assert not found["sensitive"].required  # HTML would ask for every box
    assert found["again"].options == {"true": "yes", "false": "no"}
    assert found["folds"].options == {"3": "3", "5": "5"}
    assert found["rows"].attributes == {"type": "number", "step": "1", "min": "1", "max": "9"}
    assert found["share"].attributes == {"type": "number", "step": "0.5"}
    assert found["by"].attributes == {"type": "date"}
    assert found["story"].attributes == {"maxlength": "500"}


def test_what_was_said_stands_in_place_of_the_defaults() -> None:
    said = {"level": ["a"], "note": [""], "sensitive": ["", "town", "age, in years"], "tags": ["a,b"], "folds": [""]}
    found = {field.name: field.chosen for field in fields_of(SCHEMA, said)}
    assert {name: found[name] for name in ("level", "note", "sensitive", "tags", "folds", "rows")} == {
        "level": ("a",),
        "note": (),
        "sensitive": ("town", "age, in years"),
        "tags": ("a,b",),
        "folds": (),
        "rows": ("3",),
    }


@pytest.mark.parametrize(
    ("name", "texts", "value"),
    [
        ("target", ["sex"], "sex"),
        ("target", ["hair"], "hair"),
        ("note", [""], None),
        ("note", ["  "], None),
        ("note", ["5"], "5"),
        ("rows", ["7"], 7),
        ("rows", ["-7"], -7),
        ("rows", ["7.5"], 7.5),
        ("rows", ["many"], "many"),
        ("share", ["0.5"], 0.5),
        ("share", ["1e3"], 1000.0),
        ("share", ["nan"], "nan"),
        ("share", ["inf"], "inf"),
        ("folds", ["5"], 5),
        ("folds", ["4"], "4"),
        ("again", ["true"], True),
        ("again", ["false"], False),
        ("again", ["perhaps"], "perhaps"),
        ("sensitive", ["", "age, in years", "sex"], ["age, in years", "sex"]),
        ("sensitive", [""], []),
        ("tags", ["a, b ,"], ["a", "b"]),
        ("sizes", ["1,2", "x"], [1, 2, "x"]),
        ("nobody asked", ["a"], "a"),
    ],
)
def test_texts_become_the_answer(name: str, texts: list[str], value: object) -> None:
    found = answer_of(SCHEMA, {name: texts})[name]
    assert (found, type(found)) == (value, type(value))


def test_an_engine_with_its_trials_stays_chosen() -> None:
    """Else the form would change it to the first of its list."""
    offered, _ = engine_choices("deterministic:40")
    assert next(iter(offered)) == "deterministic:40"
    assert [*offered][1:] == [*engine_choices()[0]]
