"""Direct identifiers of people: columns that hold emails, phones, names, addresses, ids or accounts, and their masking.

Judged by the column's name (words in personal_words.py) and a sample of its values. Indirect identifiers (birth dates,
postcodes) are not looked for; sensitive attributes are the business of `bias`.
"""

import re
import unicodedata
from collections.abc import Collection, Sequence
from typing import Literal

from mlpipe_dagster.tables import personal_words

Personal = Literal["email", "phone", "name", "address", "national id", "bank account", "personal number"]

MASK = "•••"
"""What stands where a value would identify somebody."""
MOST = 0.8
"""Share of the sampled values that must match a pattern."""
VARIED = 0.3
"""Distinct share below which a column called `name` lists things, not people."""
OFTEN = 0.5
"""Share of the values that must look like addresses where the header says so."""
FIRST_IDEOGRAPH = "\u3000"
"""From here on scripts put no blanks between words."""

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}")
PHONE = re.compile(r"\(?\+?\d[\d\s()./-]{5,18}\d(\s*(x|ext\.?)\s*\d{1,5})?")
PHONE_PUNCTUATION = re.compile(r"\+\d|\(\d{2,5}\)|^\d{2,4}[ -]\d{3,4}[ -]\d{3,4}$")
NATIONAL_ID = re.compile(
    r"\d{3}-\d{2}-\d{4}"  # United States
    r"|[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\s?\d{2}\s?\d{2}\s?\d{2}\s?[A-D]"  # United Kingdom
    r"|\d{3}\.\d{3}\.\d{3}-\d{2}"  # Brazil
    r"|[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]"  # Italy
    r"|(\d{2})?\d{2}[01]\d[0-3]\d[-+]\d{4}"  # Sweden
    r"|[0-3]\d[01]\d{3}[-+A]\d{3}[0-9A-FHJ-NPR-Y]"  # Finland
    r"|756\.\d{4}\.\d{4}\.\d{2}"  # Switzerland
    r"|[A-Z]{4}\d{6}[HM][A-Z]{5}[0-9A-Z]\d"  # Mexico
)
IBAN = re.compile(r"[A-Z]{2}\d{2}(?:\s?[A-Z0-9]{4}){2,7}(?:\s?[A-Z0-9]{1,3})?")
CARD = re.compile(r"\d{4}([ -]?)\d{4}\1\d{4}\1\d{1,7}|3\d{3}([ -]?)\d{6}\2\d{5}")
PERSON_NAME = re.compile(r"[^\W\d_][^\d_@/\\<>=]*")
TITLED_NAME = re.compile(
    r"\b(Mr|Mrs|Ms|Miss|Master|Dr|Prof|Rev|Sir|Lady|Herr|Frau|Hr|Fr|Mme|Mlle|Monsieur|Madame|Sr|Sra|Srta|Dott|Sig|Dhr"
    r"|Mevr)\b\.?\s+[^\W\d_]"
)
STREET = re.compile(
    r"\d+[a-z]?,?\s+([\w.'-]+\s+){1,4}(street|st|avenue|ave|road|rd|lane|ln|drive|dr|boulevard|blvd|court|ct|way|place|pl"
    r"|terrace|close|square)\b.*"
    r"|[^\W\d][\w .'-]*(stra(ss|ß)e|str\.|weg|platz|gasse|allee|straat|laan|gatan|gata|vej|vägen|katu)\s*\d+.*"
    r"|\d+\s*(bis|ter)?,?\s+(rue|avenue|boulevard|place|chemin|allée|impasse|quai)\s.*"
    r"|(calle|via|viale|piazza|avenida|av\.|rua|plaza|paseo|ulica|ul\.)\s.*\d.*",
    re.IGNORECASE,
)
CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
WITHIN = re.compile(
    rf"{EMAIL.pattern}|(?<![\w-])(?:{IBAN.pattern})(?![\w-])|(?<![\w-])\d{{3}}-\d{{2}}-\d{{4}}(?![\w-])"
    r"|(?<![\w.])\+\d[\d ()/.-]{6,18}\d|(?<![\w-])\(?\d{3}\)?[ -]\d{3}-\d{4}(?![\w-])"
)
"""What identifies somebody wherever it stands in a text."""


def words_of(column: str) -> list[str]:
    """The words of a column name, lower case, no accents: `PassengerId` and `passenger_id` alike are passenger, id."""
    return [word for word in re.split(r"[\W_]+", CAMEL.sub("_", _unaccented(column)).casefold()) if word]


def _unaccented(text: str) -> str:
    kept = (sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))
    return unicodedata.normalize("NFC", "".join(kept))


def masked(text: str) -> str:
    """The text with e-mail addresses, phone and account numbers in it masked."""
    return WITHIN.sub(MASK, text)


def personal_kind(column: str, values: Sequence[str], distinct_share: float) -> Personal | None:
    """What kind of direct identifier a column is, or None.

    `values`: a sample of its distinct values as text; `distinct_share`: distinct values over values present.
    """
    if not values:
        return None
    trimmed = [value.strip() for value in values]
    return _by_values(trimmed, _Header(column)) or _by_header(trimmed, _Header(column), distinct_share >= VARIED)


class _Header:
    """What a column is called, held against vocabularies."""

    def __init__(self, column: str) -> None:
        self.words = words_of(column)
        self._names = {*self.words, "_".join(self.words)}

    def says(self, vocabulary: Collection[str]) -> bool:
        """One of its words, or the whole of it, is in the vocabulary."""
        return bool(self._names.intersection(vocabulary)) or any(
            sign in word for sign in vocabulary if sign[0] > FIRST_IDEOGRAPH for word in self.words
        )

    def is_one_of(self, vocabulary: Collection[str]) -> bool:
        """The whole of it is in the vocabulary."""
        return "_".join(self.words) in vocabulary


def _by_values(values: Sequence[str], header: _Header) -> Personal | None:
    """Judged by values that only such a column holds; phones without signs of their own need a header."""
    if _share(EMAIL, values) >= MOST:
        return "email"
    if _share(NATIONAL_ID, values) >= MOST:
        return "national id"
    if _are_accounts(values):
        return "bank account"
    if _share(PHONE, values) >= MOST and (
        _share_found(PHONE_PUNCTUATION, values) >= MOST or header.says(personal_words.PHONE)
    ):
        return "phone"
    if _share(STREET, values) >= MOST:
        return "address"
    return "name" if _share_found(TITLED_NAME, values) >= MOST else None


def _by_header(values: Sequence[str], header: _Header, varied: bool) -> Personal | None:
    """Judged by the header, as far as the values bear it out."""
    said, words = header.says, personal_words
    if said(words.EMAIL) and sum("@" in value for value in values) >= MOST * len(values):
        return "email"
    if header.is_one_of(words.NATIONAL_ID) and _like_numbers(values):
        return "national id"
    if said(words.BANK_ACCOUNT) and _like_numbers(values) and varied:
        return "bank account"
    if varied and said(words.ADDRESS) and not said(words.NO_PLACE) and _like_places(values):
        return "address"
    if _share(PERSON_NAME, values) >= MOST and _heads_names(header, varied):
        return "name"
    return "personal number" if varied and _heads_numbers(header) and _without_prose(values) else None


def _heads_names(header: _Header, varied: bool) -> bool:
    words = personal_words
    if header.is_one_of(words.SURE_NAME) or header.says(words.PERSON_NAMES):
        return True
    of_a_person = header.says(words.PEOPLE) and header.says(words.NAME)
    return of_a_person or (varied and header.is_one_of(words.LIKELY_NAME))


def _heads_numbers(header: _Header) -> bool:
    words = personal_words
    owned = (header.says(words.PEOPLE) or header.says(words.RECORDS)) and header.says(words.NUMBER)
    return owned or header.says(words.PERSON_NUMBERS) or header.is_one_of(words.TICKET)


def _share(pattern: re.Pattern[str], values: Sequence[str]) -> float:
    return sum(bool(pattern.fullmatch(value)) for value in values) / len(values)


def _share_found(pattern: re.Pattern[str], values: Sequence[str]) -> float:
    return sum(bool(pattern.search(value)) for value in values) / len(values)


def _like_numbers(values: Sequence[str]) -> bool:
    """Ids have digits and some length; flags such as `passport: yes` do not."""
    return sum(len(value) >= 6 and any(map(str.isdigit, value)) for value in values) >= MOST * len(values)


def _without_prose(values: Sequence[str]) -> bool:
    """Numbers of files have a digit and at most two blanks."""
    fit = (any(map(str.isdigit, value)) and value.count(" ") <= 2 for value in values)
    return sum(fit) >= MOST * len(values)


def _like_places(values: Sequence[str]) -> bool:
    fit = (len(value) >= 5 and any(map(str.isalpha, value)) and any(map(str.isdigit, value)) for value in values)
    return sum(fit) >= OFTEN * len(values)


def _are_accounts(values: Sequence[str]) -> bool:
    """IBANs or card numbers whose check digits are right: hardly anything else has those."""
    return sum(_is_iban(value) or _is_card(value) for value in values) >= MOST * len(values)


def _is_iban(value: str) -> bool:
    if not IBAN.fullmatch(value):
        return False
    plain = "".join(value.split())
    return int("".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])) % 97 == 1


def _is_card(value: str) -> bool:
    if not CARD.fullmatch(value):
        return False
    digits = [int(sign) for sign in reversed(value) if sign.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
