"""What the guard makes of the supervisor's lines."""

from mlpipe_dagster.services.guard import groups_left


def test_groups_that_were_taken_back_are_left_alone() -> None:
    assert groups_left(["+10\n", "+11\n", "-10\n", "+12\n", "-99\n"]) == [11, 12]
    assert groups_left([]) == []
