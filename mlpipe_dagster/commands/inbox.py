"""`mlpipe inbox` and `mlpipe answer`: what waits for a person, and their answer."""

from typing import Any

import click

from mlpipe_dagster.commands import pipeline_text
from mlpipe_dagster.commands.client import ApiClient
from mlpipe_dagster.errors import UserError
from mlpipe_dagster.vocabulary import split_list

NEWEST_NOTIFICATIONS = 20


@click.command()
@click.option("--user-id", help="Only this user's.")
def inbox(user_id: str | None) -> None:
    """List open questions and the latest notifications."""
    client = ApiClient()
    questions = client.get("questions", user_id=user_id, status="open")
    notifications = client.get("notifications", user_id=user_id)
    for question in questions:
        for line in pipeline_text.question_text(question):
            click.echo(line)
        click.echo()
    for told in reversed(notifications[:NEWEST_NOTIFICATIONS]):
        click.echo(f"{told['created_at'][:16]}  {told['severity']:<8} {told['subject']}")
        if told["link"]:
            click.echo(f"  {told['link']}")
    if not questions:
        click.echo("No question waits for an answer.")


@click.command()
@click.argument("question_id")
@click.argument("answers", nargs=-1, metavar="KEY=VALUE…")
@click.option("--user-id", help="Who answers; the question's owner where it is left out.")
def answer(question_id: str, answers: tuple[str, ...], user_id: str | None) -> None:
    """Answer the question QUESTION_ID; what is left out takes the question's suggestion."""
    client = ApiClient()
    question = client.get("questions", question_id)
    content = parse_answers(question["fields"]["properties"], answers)
    said = {"user_id": user_id or question["user_id"], "answer": content}
    read = {"question_version": question["question_version"]}
    client.post("questions", question_id, "answer", content=said | read)
    click.echo(f"Answered. Follow it with: mlpipe watch {question['dataset_id']} --user-id {question['user_id']}")


def parse_answers(fields: dict[str, Any], answers: tuple[str, ...]) -> dict[str, object]:
    """The answers by field; a list field takes `a,b`.

    Raises
    ------
    UserError
        An answer is not of the form KEY=VALUE.
    """
    parsed: dict[str, object] = {}
    for text in answers:
        name, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"“{text}” is no answer. Write KEY=VALUE, with one of: {', '.join(fields)}.")
        many = fields.get(name, {}).get("type") == "array"
        parsed[name] = list(split_list(value)) if many else value
    return parsed
