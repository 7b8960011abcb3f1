"""What leaves for outside channels: no body, no value, no column that identifies people."""

from mlpipe_dagster.channels.message import about_notification, about_question, columns_not_named
from mlpipe_dagster.settings import Settings
from mlpipe_dagster.tables.profile import ColumnProfile, Profile
from mlpipe_dagster.warehouse.schema import Notification, Question

FINDING = "Women (1,204 rows) are paid back less often than men; Braund, Mr. Owen"


def column(name: str, personal: str | None = None) -> ColumnProfile:
    return ColumnProfile(name=name, data_type="object", kind="category", missing=0, distinct=9, personal=personal)


def question(kind: str, **properties: object) -> Question:
    fields = {"type": "object", "properties": properties}
    return Question(id="q/1", kind=kind, subject="loans: go on?\r\nBcc: x@example.org", body=FINDING, fields=fields)


def test_bodies_stay_on_the_platform() -> None:
    asked = question("bias", decision={"enum": ["proceed", "stop"], "default": "stop"})
    told = Notification(subject="loans: the training failed", body=FINDING, severity="error")
    texts = [about_question(Settings(), asked, frozenset()), about_notification(told, "http://page")]
    assert not any(part in f"{text}" for text in texts for part in ("Women", "1,204", "Braund"))
    assert texts[0].text.splitlines()[2:4] == [
        "stop: http://localhost:8000/inbox?question=q%2F1&decision=stop",
        "proceed: http://localhost:8000/inbox?question=q%2F1&decision=proceed",
    ]


def test_a_subject_is_one_line_and_masked() -> None:
    assert about_question(Settings(), question("explain"), ()).subject == "loans: go on? Bcc: •••"


def test_columns_that_identify_people_are_not_named_and_few_are() -> None:
    """A table without a header line has its first row for names."""
    named = [column(f"c{number}") for number in range(20)]
    personal = [
        column("surname", "name"),
        column("ada@example.org"),
        column("Braund, Mr. Owen"),
        column("+47 22334455"),
    ]
    profile = Profile(row_count=9, columns=(*personal, *named), duplicate_rows=0)
    hidden = columns_not_named(profile)
    assert hidden == {"surname", "ada@example.org", "Braund, Mr. Owen", "+47 22334455"}
    asked = question("target", target_column_name={"enum": profile.names, "default": "c19"})
    lines = about_question(Settings(), asked, hidden).text.splitlines()[2:-2]
    assert [line.partition(":")[0] for line in lines] == ["c19", "c0", "c1", "c2", "c3", "c4", "c5", "c6"]
    assert columns_not_named(None) == frozenset()
