"""The frame of every HTML report: the Jinja environment, and `render`, which fills a template.

What the pages say is decided in the modules that render them; drawings are in `charts.py`.
"""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mlpipe_dagster.bias.labels import outcome_label
from mlpipe_dagster.reports.texts import quoted, texts
from mlpipe_dagster.reports.wording import list_text, number_text, percent_text, printable, signed_text
from mlpipe_dagster.vocabulary import Level


@cache
def environment() -> Environment:
    """The Jinja environment of this package's templates: autoescaping, only printable text, no missing values."""
    made = Environment(
        loader=PackageLoader("mlpipe_dagster.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_written,
    )
    made.filters.update(
        number=number_text,
        signed=signed_text,
        percent=percent_text,
        listed=list_text,
        quoted=quoted,
        outcome=outcome,
        linkable=linkable,
        note=lambda note: texts().note(note),
    )
    made.globals["levels"] = [str(level) for level in Level]
    return made


def _written(value: object) -> object:
    """What a template writes: texts of the data without the characters that would break or turn the page."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def outcome(name: str, target: str) -> Markup:
    """A class in quotation marks, with the target where the class is a bare number, yes or no: `Survived = 1`."""
    return quoted(outcome_label(target, name))


def render(template: str, **context: object) -> str:
    """`template` filled with `context`, as one self-contained HTML page.

    `base.html` reads two optional values: `level` (the page's own level) and `links`: the keys `beginner`,
    `intermediate` and `expert` lead to the same report at that level, every other key is the text of a link.
    """
    return environment().get_template(template).render(t=texts(), **context)


def linkable(address: str) -> bool:
    """Whether `address` may stand in a link: http, https, or a path; never `javascript:` or another scheme."""
    scheme, colon, _ = address.partition(":")
    return not colon or scheme.lower() in {"http", "https"} or any(mark in scheme for mark in "/?#")
