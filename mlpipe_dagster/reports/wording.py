"""How numbers become words: rounding, percentages and frequencies, the same on every page and in every chart.

Only text; nothing is computed from data here.
"""

import math
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

MINUS = "\u2212"
ELLIPSIS = "\u2026"
_CONTROLS = (*range(0x20), *range(0x7F, 0xA0), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF)
_DIRECTION_MARKS = (0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_UNPRINTABLE = {code: "\ufffd" for code in (*_CONTROLS, *_DIRECTION_MARKS) if code not in (0x09, 0x0A, 0x0D)}


_QUOTED = re.compile("(?<=\u201c)[^\u201c\u201d]*(?=\u201d)")
_SWAPPED = str.maketrans(",.", ".,")
_LANGUAGE: ContextVar[str] = ContextVar("language", default="en")


def language() -> str:
    """The language that is written at the moment."""
    return _LANGUAGE.get()


@contextmanager
def written_in(code: str) -> Iterator[None]:
    """Inside, texts and numbers are those of the language `code` (`de`: 1.234,5 and 12 %)."""
    token = _LANGUAGE.set(code)
    try:
        yield
    finally:
        _LANGUAGE.reset(token)


def local(text: str) -> str:
    """A number as text, with the marks of the language."""
    return text.translate(_SWAPPED) if language() == "de" else text


def number_text(value: float, significant: int = 3) -> str:
    """`value` rounded to `significant` digits: 0.0346, 12.3, 206,856, 1.2e-07. Whole parts are never rounded away."""
    if math.isnan(value):
        return "not defined"
    if math.isinf(value):
        return "infinite" if value > 0 else f"{MINUS}infinite"
    size = abs(value)
    if size == 0:
        return "0"
    exponent = math.floor(math.log10(size))
    if exponent < -4 or exponent > 14:
        text = f"{value:.{significant - 1}e}"
        return local(text.replace("-", MINUS, 1) if value < 0 else text)
    text = f"{size:,.{max(significant - 1 - exponent, 0)}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return local(f"{MINUS}{text}" if value < 0 else text)


def signed_text(value: float, significant: int = 3) -> str:
    """Like `number_text`, with a plus before positive numbers."""
    text = number_text(value, significant)
    return f"+{text}" if value > 0 else text


def percent_text(share: float, digits: int = 1) -> str:
    """A share from 0 to 1 as a percentage: 0.4 -> 40%, 0.1234 -> 12.3%."""
    if not math.isfinite(share):
        return number_text(share)
    text = f"{share * 100:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return local(text.replace("-", MINUS)) + ("\u00a0%" if language() == "de" else "%")


def frequency_parts(share: float) -> tuple[str, int, int]:
    """A share as a frequency people picture: how it is meant (`about`, `none`, `all`, `fewer`, `more`), count, group.

    0.81 is about 8 of 10, 0.03 about 3 of 100. Rounds to tenths, unless that would say never or always of what is
    neither.
    """
    if share in (0.0, 1.0):
        return "none" if share == 0.0 else "all", 0, 0
    for group in (10, 100, 1000):
        count = round(share * group)
        if 0 < count < group and (group > 10 or 0.1 <= share <= 0.9):
            return "about", count, group
    return ("fewer" if share < 0.5 else "more"), 0, 1000


def list_text(words: list[str], conjunction: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {conjunction} {words[-1]}"


def printable(text: str) -> str:
    """`text` with U+FFFD for what XML forbids and for marks that would turn the writing direction of what follows."""
    return text.translate(_UNPRINTABLE)


def isolated(text: str) -> str:
    """`text` with each quoted name that is written from right to left kept apart: it turns nothing beside it."""
    return _QUOTED.sub(lambda found: f"\u2068{found[0]}\u2069" if _turns(found[0]) else found[0], text)


def _turns(text: str) -> bool:
    return any(unicodedata.bidirectional(character) in ("R", "AL") for character in text)


def text_width(text: str, size: float) -> float:
    """Estimated width in pixels of `text` set in a system sans-serif font of `size` pixels; errs on the wide side."""
    return sum(_glyph_width(character) for character in text) * size


def _glyph_width(character: str) -> float:
    if unicodedata.combining(character):
        return 0.0
    if unicodedata.east_asian_width(character) in "WF":
        return 1.15
    if character.isupper() or character in "mwMW@%":
        return 0.75
    return 0.34 if character in " .,:;'|!iljtfI()[]" else 0.61


def shortened(text: str, width: float, size: float) -> str:
    """`text`, cut with an ellipsis where it would be wider than `width` pixels at font `size`."""
    if text_width(text, size) <= width:
        return text
    room = width - text_width(ELLIPSIS, size)
    kept = ""
    for character in text:
        room -= _glyph_width(character) * size
        if room < 0:
            break
        kept += character
    return kept.rstrip() + ELLIPSIS
