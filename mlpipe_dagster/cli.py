"""The command `mlpipe`: puts the commands together and turns faults into one line. What they do is in commands/."""

import importlib

import click
from pydantic import ValidationError

from mlpipe_dagster.errors import MlpipeError

MODULES = {
    "up": "up",
    "demo": "demo",
    "upload": "upload",
    "status": "pipeline",
    "watch": "pipeline",
    "inbox": "inbox",
    "answer": "inbox",
    "cancel": "intervene",
    "retry": "intervene",
    "again": "intervene",
    "mitigate": "intervene",
    "explain": "explain",
    "predict": "predict",
    "replay": "replay",
    "train-more": "train_more",
    "role": "role",
    "dlq": "dlq",
    "keys": "keys",
    "users": "users",
    "channels": "channels",
    "policy": "policy",
    "history": "audit",
    "audit": "audit",
    "engines": "engines",
    "sql": "sql",
    "doctor": "doctor",
}
"""Where each command is; only the one that is called is imported."""


class Commands(click.Group):
    """The commands of the table above, in its order."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        """Their names."""
        return list(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """The command of that name."""
        if cmd_name not in MODULES:
            return None
        module = importlib.import_module(f"mlpipe_dagster.commands.{MODULES[cmd_name]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option("0.1.0", message="mlpipe %(version)s")
def cli() -> None:
    """Event-driven, responsible AutoML on Dagster and Kafka."""


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
