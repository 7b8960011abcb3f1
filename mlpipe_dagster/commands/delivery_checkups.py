"""What `mlpipe doctor` says of outside channels: those that are none, and what was not delivered."""

from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from mlpipe_dagster import clock
from mlpipe_dagster.channels import addresses, apart
from mlpipe_dagster.commands.checkups import Finding, Verdict, catalogue_exists
from mlpipe_dagster.settings import settings
from mlpipe_dagster.warehouse import deliveries
from mlpipe_dagster.warehouse.schema import DeliveryRow
from mlpipe_dagster.warehouse.warehouse import open_warehouse

PART = "notifications"
LATELY = timedelta(days=1)
LATE = timedelta(minutes=10)


def check_deliveries() -> Iterator[Finding]:
    """The platform's own channels, deliveries given up within a day, and those that have waited long."""
    yield from _check_urls()
    if not catalogue_exists():
        return
    try:
        with open_warehouse().reading() as session:
            failed = deliveries.failed_since(session, clock.now() - LATELY)
            late = deliveries.waiting_since(session, clock.now() - LATE)
    except SQLAlchemyError:  # check_warehouse says so
        return
    if failed:
        advice = "See that the channel is right and takes messages: mlpipe channels list USER, or MLPIPE_NOTIFY_URLS"
        yield Finding(Verdict.WARN, PART, f"{len(failed)} not delivered within a day, {_last(failed)}", advice)
    if late:
        advice = "They are tried again; if they stay, see whether the API runs, which sends them"
        yield Finding(Verdict.WARN, PART, f"{len(late)} have waited for more than 10 minutes, {_last(late)}", advice)
    if not failed and not late:
        yield Finding(Verdict.OK, PART, "none waits for long, and none was given up within a day")


def _check_urls() -> Iterator[Finding]:
    urls = list(deliveries.platform_channels(settings()).values())
    for place in apart.unknown(urls):
        text = f"Apprise can make nothing of {addresses.shown(urls[place])}"
        yield Finding(Verdict.FAIL, PART, text, "Mend it in MLPIPE_NOTIFY_URLS")


def _last(rows: list[DeliveryRow]) -> str:
    return f"the last one to {rows[0].shown}: {rows[0].trouble or 'not tried yet'}"
