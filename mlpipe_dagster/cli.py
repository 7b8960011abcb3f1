"""The command `mlpipe`: puts the commands together and turns faults into one line. What they do is in commands/."""

import click
from pydantic import ValidationError

from mlpipe_dagster.commands import demo, dlq, doctor, inbox, intervene, pipeline, role, up, upload
from mlpipe_dagster.errors import MlpipeError

COMMANDS = (
    up.up,
    demo.demo,
    upload.upload,
    pipeline.status,
    pipeline.watch,
    inbox.inbox,
    inbox.answer,
    intervene.cancel,
    intervene.retry,
    role.role,
    dlq.dlq,
    doctor.doctor,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option("0.1.0", message="mlpipe %(version)s")
def cli() -> None:
    """Event-driven, responsible AutoML on Dagster and Kafka."""


for command in COMMANDS:
    cli.add_command(command)


def main() -> None:
    """Run the command line."""
    try:
        cli(prog_name="mlpipe")
    except MlpipeError as error:
        raise SystemExit(_said(str(error))) from None
    except ValidationError as error:  # only settings are read from what a person wrote
        faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise SystemExit(_said("; ".join(faults))) from None


def _said(message: str) -> str:
    return f"mlpipe: {message}"


if __name__ == "__main__":
    main()
