"""Which errors pass by themselves, so that the same work may succeed a moment later, and what to call an error.

How often and when it is tried again stands in retries.py.
"""

from collections.abc import Iterator
from concurrent.futures import BrokenExecutor

from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from mlpipe_dagster.errors import BrokerUnavailable, MlpipeError
from mlpipe_dagster.tables.personal import masked
from mlpipe_dagster.warehouse.objects import ObjectsUnavailable

PASSING = (BrokerUnavailable, PoolTimeout, BrokenExecutor)
LASTING_FILE_TROUBLE = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
LASTING_DATABASE_WORDS = ("no such table", "no such column", "has no column", "readonly database", "does not exist")
"""What SQLite and Postgres say in an OperationalError that no waiting mends."""
PASSING_S3_CODES = frozenset(
    {
        "InternalError", "RequestTimeout", "RequestTimeoutException", "ServiceUnavailable", "SlowDown", "Throttling",
        "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "BandwidthLimitExceeded", "429",
    }
)  # fmt: skip
SERVER_ERROR = 500


def is_passing(error: Exception) -> bool:
    """Whether trying again may help: an unreachable server, a locked database, a killed worker process."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or _is_passing_in_database(error)
    if isinstance(error, ObjectsUnavailable) or type(error).__module__.startswith(("botocore", "boto3")):
        return _is_passing_on_s3(error)
    if isinstance(error, PASSING):
        return True
    return isinstance(error, OSError) and not isinstance(error, LASTING_FILE_TROUBLE)


def _is_passing_in_database(error: DBAPIError) -> bool:
    said = str(error.orig)
    return isinstance(error, OperationalError) and not any(words in said for words in LASTING_DATABASE_WORDS)


def _is_passing_on_s3(error: BaseException) -> bool:
    """Connections, overload and faults of the server pass; a refusal, a bucket that is not there, missing keys stay."""
    from botocore import exceptions as s3

    for link in _chain(error):
        if isinstance(link, s3.ClientError):
            status = int(link.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            return link.response["Error"]["Code"] in PASSING_S3_CODES or status >= SERVER_ERROR
        if isinstance(link, s3.BotoCoreError):
            return isinstance(link, (s3.ConnectionError, s3.HTTPClientError, s3.IncompleteReadError))
    return True


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def error_type_of(error: Exception) -> str:
    """The `error_type` that `pipeline.failed` carries."""
    if isinstance(error, MlpipeError):
        return error.error_type
    return "database" if isinstance(error, SQLAlchemyError) else "internal"


def in_words(error: Exception) -> str:
    """One line for a person; of a database error what the database said, without the statement and its values.

    What a library quotes of the table may be an e-mail address or a phone number: those are masked.
    """
    if isinstance(error, MlpipeError):
        return str(error)
    said = str(error.orig if isinstance(error, DBAPIError) else error).strip()
    first = masked(said.splitlines()[0]) if said else ""
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
