"""Writes docs/configuration.md from the settings, so that it says what is true (`make docs`)."""

from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from mlpipe_dagster.settings import Settings

HEAD = """# Configuration

Every setting is an environment variable. The table is generated from `mlpipe_dagster/settings.py`
(`make docs`); a test keeps the two alike.

| variable | default | meaning |
| --- | --- | --- |
"""


def table() -> str:
    """The page as Markdown."""
    return HEAD + "".join(_line(field) for field in Settings.model_fields.values())


def _line(field: FieldInfo) -> str:
    return f"| `{field.alias}` | {_default(field.default)} | {field.description} |\n"


def _default(value: Any) -> str:
    text = value.get_secret_value() if isinstance(value, SecretStr) else str("" if value is None else value)
    return f"`{text}`" if text else "(empty)"


if __name__ == "__main__":
    print(table(), end="")
