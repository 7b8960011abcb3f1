"""Words out of names and values: `SeniorCitizen_2` -> senior, citizen.

They serve to recognise columns and classes; what is shown to people stays as it was written.
"""

import re
import unicodedata

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_LONGEST_PHRASE = 4


def plain_words(text: str) -> list[str]:
    """`text` as lower-case words without accents and trailing digits: `Étatcivil`, `sex2` -> etatcivil, sex."""
    spaced = _CAMEL.sub(" ", text)
    bare = "".join(mark for mark in unicodedata.normalize("NFKD", spaced) if not unicodedata.combining(mark))
    composed = unicodedata.normalize("NFKC", bare).casefold()
    return [word.rstrip("0123456789") or word for word in re.findall(r"[^\W_]+", composed)]


def phrases_of(listed: str) -> frozenset[str]:
    """A comma-separated list as phrases in plain words, each also as one word: `civil status`, `civilstatus`."""
    spelled = [plain_words(phrase) for phrase in listed.split(",")]
    return frozenset(separator.join(words) for words in spelled for separator in (" ", ""))


def phrases_in(words: list[str]) -> frozenset[str]:
    """Every run of up to four neighbouring words, and all of them without separators."""
    runs = {
        " ".join(words[start : start + length])
        for length in range(1, _LONGEST_PHRASE + 1)
        for start in range(len(words) - length + 1)
    }
    return frozenset(runs | {"".join(words)})
