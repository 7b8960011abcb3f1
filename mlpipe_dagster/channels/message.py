"""What an outside channel is told of a notification or question: a subject, a sentence, and links to the pages.

Never a body: bodies hold findings and messages, and those may hold values of the table. Names of columns stand in links
only, and not those of columns that identify people.
"""

from collections.abc import Collection, Iterator
from typing import Any

from mlpipe_dagster.channels.apart import Message
from mlpipe_dagster.settings import Settings
from mlpipe_dagster.tables.personal import masked, personal_kind
from mlpipe_dagster.tables.profile import Profile
from mlpipe_dagster.warehouse.links import answer_link
from mlpipe_dagster.warehouse.schema import Notification, Question

MOST_CHOICES = 8
LONGEST_SUBJECT = 200
AFTER_NOTIFICATION = {
    "error": "It cannot go on as it is. The page says why, and what to do.",
    "warning": "The page says more.",
}
AFTER_QUESTION = {
    "target": "The table is read. What is to be predicted from it?",
    "bias": "The bias report is there, and a model is trained next. Read the report before you decide.",
    "explain": "A model is trained. Explanations say what its predictions rest on.",
}
WAITS = "The pipeline waits for your answer."


def about_notification(row: Notification, link: str) -> Message:
    """The notification, and where to read it."""
    said = AFTER_NOTIFICATION.get(row.severity)
    return Message(_subject(row.subject), "\n\n".join([*([said] if said else []), link]), row.severity)


def about_question(settings: Settings, row: Question, hidden: Collection[str]) -> Message:
    """The question with a link for each choice, which fills in the answer and sends nothing.

    `hidden`: columns that are not to be named.
    """
    lines = [f"{WAITS} {AFTER_QUESTION.get(row.kind, '')}".strip(), ""]
    for field, choice in _choices(row.fields, hidden):
        lines.append(f"{choice}: {answer_link(settings, row.id, field, choice)}")
    lines += ["", f"All choices, and what there is to know: {answer_link(settings, row.id)}"]
    return Message(_subject(row.subject), "\n".join(lines))


def _subject(text: str) -> str:
    """On one line: it becomes a header of an e-mail."""
    return masked(" ".join(text.split()))[:LONGEST_SUBJECT]


def _choices(fields: dict[str, Any], hidden: Collection[str]) -> Iterator[tuple[str, str]]:
    """Field and value for each choice of the first field that has some, the suggested one first."""
    for field, shape in fields.get("properties", {}).items():
        if "enum" in shape:
            named = [str(choice) for choice in shape["enum"] if choice not in hidden]
            named.sort(key=lambda choice: choice != shape.get("default"))
            yield from ((field, choice) for choice in named[:MOST_CHOICES])
            return


def columns_not_named(profile: Profile | None) -> frozenset[str]:
    """Columns that identify people, and those whose very names do: a table without a header line has such."""
    columns = profile.columns if profile else ()
    return frozenset(
        column.name
        for column in columns
        if column.personal or masked(column.name) != column.name or personal_kind("", [column.name], 1.0)
    )
