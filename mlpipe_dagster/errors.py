"""The exception tree. What a person can mend is a UserError; its message says what to do.

MlpipeError
├── UserError                 the input or the request is at fault; never retried
│   ├── TableError            the file is not a usable table
│   ├── TargetError           the target column is absent, constant or empty
│   ├── TaskError             the task type is not one that is understood or fits
│   ├── BudgetError           the time budget is not a positive duration, or too small
│   ├── EngineError           the engine is unknown, not installed, or found nothing
│   ├── ModelError            the model cannot be trained, loaded or explained safely
│   ├── UnknownThing          no such dataset, model, report, question
│   └── Conflict              the thing exists already, was answered already, or is ambiguous
├── ContractError             a record that does not keep its contract (becomes a dead letter)
├── BrokerUnavailable         Kafka cannot be reached
├── TooLarge                  an event or a file is over its limit
└── StageLost                 the run no longer owns its row: superseded, cancelled or taken by another
"""

from typing import ClassVar


class MlpipeError(Exception):
    """Base of everything mlpipe raises on purpose."""

    error_type: ClassVar[str] = "internal"


class UserError(MlpipeError):
    """Input or request at fault. The message is shown to a person and says what to do."""

    error_type = "bad_input"


class TableError(UserError):
    """The uploaded file is not a usable table."""

    error_type = "bad_table"


class TargetError(UserError):
    """The target column is absent, constant or empty."""

    error_type = "bad_target"


class TaskError(UserError):
    """The task type is unknown or does not fit the target."""

    error_type = "bad_task_type"


class BudgetError(UserError):
    """The time budget is not a positive duration, or too small to train in."""

    error_type = "bad_time_budget"


class EngineError(UserError):
    """The engine is unknown, not installed, cannot do what is asked, or found nothing."""

    error_type = "bad_engine"


class ModelError(UserError):
    """The model cannot be trained, loaded or explained safely."""

    error_type = "bad_model"


class UnknownThing(UserError):  # noqa: N818 - reads as what it says where it is raised
    """No such dataset, model, report or question."""

    error_type = "unknown"


class Conflict(UserError):  # noqa: N818
    """Taken, answered already, or ambiguous."""

    error_type = "conflict"


class ContractError(MlpipeError):
    """A record does not keep its contract."""

    error_type = "contract"


class BrokerUnavailable(MlpipeError):  # noqa: N818
    """Kafka cannot be reached; the message names the address."""

    error_type = "broker"


class TooLarge(MlpipeError):  # noqa: N818
    """An event or a file is over its limit."""

    error_type = "too_large"


class StageLost(MlpipeError):  # noqa: N818
    """The run no longer owns its row of the ledger."""

    error_type = "stage_lost"
