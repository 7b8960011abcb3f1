"""Every sentence of the explanations, in the reader's language: a file of texts a language, looked up by key.

`languages/en.toml` is the original; another language is a file with the same keys and places to fill in. Numbers
are written the way of the language while its texts are in use (`wording.written_in`).
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from string import Formatter
from typing import Any, Literal, get_args

from markupsafe import Markup

from mlpipe_dagster.reports import wording
from mlpipe_dagster.reports.wording import frequency_parts, list_text, number_text, percent_text, printable
from mlpipe_dagster.xai.pieces import Note, Output
from mlpipe_dagster.xai.quality import Condition

Language = Literal["en", "de"]
ORIGINAL: Language = "en"
_NUMBER = r"-?\d+(\.\d+)?%?"
_NAMES = ("column", "classes")
"""Places of the training's sentences that hold names from the data."""
LANGUAGES: tuple[Language, ...] = get_args(Language)


def flattened(tree: Mapping[str, Any], before: str = "") -> dict[str, str]:
    """`{"a": {"b": "text"}}` as `{"a.b": "text"}`."""
    found: dict[str, str] = {}
    for key, value in tree.items():
        if isinstance(value, str):
            found[before + key] = value.strip()
        else:
            found |= flattened(value, f"{before}{key}.")
    return found


def quoted(name: str) -> Markup:
    """A name from the data in quotation marks, kept from turning the writing direction of the sentence around it."""
    return texts()("quoted", name=Markup("<bdi>{}</bdi>").format(printable(name)))


class Texts:
    """The sentences of one language."""

    def __init__(self, language: str) -> None:
        self.language = language
        source = files("mlpipe_dagster.reports") / "languages" / f"{language}.toml"
        self.sentences = flattened(tomllib.loads(source.read_text(encoding="utf-8")))

    def __call__(self, key: str, **values: object) -> Markup:
        """The sentence for HTML; values that are not markup are escaped, marks of direction taken out.

        Raises
        ------
        KeyError
            There is no such sentence, or a place in it is not filled.
        """
        safe = {name: _printable(value) for name, value in values.items()}
        return Markup(self.sentences[key]).format(**safe)  # noqa: S704 - a sentence of this package

    def plain(self, key: str, **values: object) -> str:
        """The sentence as plain text, for charts and cells that are escaped later."""
        return Markup(self.sentences[key]).unescape().format(**values)  # noqa: S704 - unescaped, not written

    def count(self, key: str, number: int) -> str:
        """`1 row`, `20 rows`: the sentence `key.one` or `key.more`."""
        return self.plain(f"{key}.{'one' if number == 1 else 'more'}", n=number_text(number, 15))

    def frequency(self, share: float) -> str:
        """A share as a frequency people picture: `about 8 of 10`."""
        how, count, group = frequency_parts(share)
        return self.plain(f"frequency.{how}", count=count, group=number_text(group, 15))

    def listed(self, words: Sequence[object]) -> Markup:
        """`a`, `a and b`, `a, b and c`."""
        return Markup(list_text([str(Markup.escape(word)) for word in words], self.sentences["and"]))  # noqa: S704

    def said(self, text: str) -> str:
        """What a training said in English, in this language; as it stands where no sentence of `training` fits."""
        if self.language == ORIGINAL:
            return text
        if re.fullmatch(_NUMBER, text):
            return wording.local(text)
        for key, sentence in _training().items():
            found = sentence.fullmatch(text)
            if found:
                parts = {name: part if name in _NAMES else self.said(part) for name, part in found.groupdict().items()}
                return self.plain(key, **parts)
        return text

    def note(self, note: Note) -> Markup:
        """The sentence of a note, its numbers written out."""
        if note.key == "said":
            return self("notes.said", text=_written("text", self.said(str(note.values["text"]))))
        return self(f"notes.{note.key}", **{name: _written(name, value) for name, value in note.values.items()})

    def output(self, output: Output) -> str:
        """`log-odds of “good”`, as plain text."""
        return self.plain(f"outputs.{output.scale}" if output.of else f"outputs.every {output.scale}", of=output.of)

    def condition(self, condition: Condition) -> str:
        """`“age” is above 40`, as plain text."""
        bound = condition.sign in ("at most", "above") and re.fullmatch(_NUMBER, condition.value)
        value = wording.local(condition.value) if bound else condition.value
        return self.plain(f"conditions.{condition.sign}", column=condition.column, value=value)

    def conditions(self, conditions: Sequence[Condition]) -> str:
        """All of them, or `all rows`."""
        return list_text([self.condition(one) for one in conditions], self.sentences["and"]) or self.plain("all_rows")


def _printable(value: object) -> object:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _written(name: str, value: float | str) -> object:
    """Shares as percentages, counts in full, other numbers rounded; texts of the data kept apart."""
    if isinstance(value, str):
        return Markup("<bdi>{}</bdi>").format(printable(value))
    if name == "share":
        return percent_text(value)
    return number_text(value, 15) if isinstance(value, int) else number_text(value)


def texts() -> Texts:
    """The texts of the language that is written at the moment (`wording.written_in`)."""
    return _read(wording.language())


@cache
def _read(language: str) -> Texts:
    return Texts(language)


@cache
def _training() -> dict[str, re.Pattern[str]]:
    """What a training says, in the original, as patterns that find what stands in each place."""
    return {
        key: re.compile("".join(_pattern(*part[:2]) for part in Formatter().parse(sentence)), re.DOTALL)
        for key, sentence in _read(ORIGINAL).sentences.items()
        if key.startswith("training.")
    }


def _pattern(before: str, place: str | None) -> str:
    return re.escape(before) + (f"(?P<{place}>.+)" if place else "")
