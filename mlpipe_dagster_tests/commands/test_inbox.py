"""Answers as they are written on the command line."""

import pytest

from mlpipe_dagster.commands.inbox import parse_answers
from mlpipe_dagster.errors import UserError

FIELDS = {"target": {"type": "string"}, "sensitive": {"type": "array"}}


def test_an_answer_without_an_equals_sign_is_explained() -> None:
    with pytest.raises(UserError, match=r"“income” is no answer\. Write KEY=VALUE, with one of: target, sensitive\."):
        parse_answers(FIELDS, ("income",))


def test_values_keep_their_equals_signs_and_lists_are_split() -> None:
    assert parse_answers(FIELDS, ("target=a=b", "sensitive=sex, age")) == {"target": "a=b", "sensitive": ["sex", "age"]}
