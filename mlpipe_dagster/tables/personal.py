"""Direct identifiers of people: whether a column holds emails, phone numbers, names or national ids.

Judged by the column's name and a sample of its values. Indirect identifiers (birth dates, postcodes) are not looked
for; sensitive attributes are the business of `bias`.
"""

import re
from collections.abc import Sequence
from typing import Literal

Personal = Literal["email", "phone", "name", "national id"]

MOST = 0.8
"""Share of the sampled values that must match a pattern."""
VARIED = 0.3
"""Distinct share below which a column called `name` lists things, not people."""

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}")
PHONE = re.compile(r"\(?\+?\d[\d\s()./-]{5,18}\d(\s*(x|ext\.?)\s*\d{1,5})?")
PHONE_PUNCTUATION = re.compile(r"\+\d|\(\d{2,5}\)|^\d{2,4}[ -]\d{3,4}[ -]\d{3,4}$")
SOCIAL_SECURITY = re.compile(r"\d{3}-\d{2}-\d{4}")
PERSON_NAME = re.compile(r"[^\W\d_][^\d_@/\\<>=]*")
CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

NATIONAL_ID_NAMES = frozenset(
    {
        "ssn",
        "social_security",
        "social_security_number",
        "national_id",
        "nationalid",
        "national_insurance",
        "nino",
        "passport",
        "passport_no",
        "passport_number",
        "aadhaar",
        "cpf",
        "nif",
        "dni",
        "bsn",
        "pesel",
        "personnummer",
        "steuer_id",
        "tax_id",
        "sin_number",
        "driver_license",
        "driving_licence",
        "drivers_license",
        "drivers_licence",
    }
)
PHONE_WORDS = frozenset(
    {
        "phone",
        "telephone",
        "tel",
        "mobile",
        "cell",
        "fax",
        "telefon",
        "telefono",
        "handy",
        "msisdn",
        "phonenumber",
    }
)
EMAIL_WORDS = frozenset(
    {
        "email",
        "mail",
        "e_mail",
        "emailaddress",
    }
)
SURE_NAMES = frozenset(
    {
        "first_name",
        "last_name",
        "middle_name",
        "full_name",
        "firstname",
        "lastname",
        "middlename",
        "fullname",
        "surname",
        "forename",
        "given_name",
        "family_name",
        "maiden_name",
        "patient_name",
        "customer_name",
        "employee_name",
        "person_name",
        "student_name",
        "client_name",
        "applicant_name",
        "contact_name",
        "vorname",
        "nachname",
        "prenom",
        "nom_de_famille",
        "apellido",
        "apellidos",
        "cognome",
    }
)
LIKELY_NAMES = frozenset(
    {
        "name",
        "names",
        "first",
        "last",
        "nom",
        "nombre",
        "nome",
        "person",
    }
)


def words_of(column: str) -> list[str]:
    """The words of a column name, lower case: `PassengerId` and `passenger_id` alike are passenger, id."""
    return [word for word in re.split(r"[\W_]+", CAMEL.sub("_", column).casefold()) if word]


def personal_kind(column: str, values: Sequence[str], distinct_share: float) -> Personal | None:
    """What kind of direct identifier a column is, or None.

    `values`: a sample of its distinct values as text; `distinct_share`: distinct values over values present.
    """
    if not values:
        return None
    words = words_of(column)
    name = "_".join(words)
    if _share(EMAIL, values) >= MOST:
        return "email"
    if _share(SOCIAL_SECURITY, values) >= MOST or (name in NATIONAL_ID_NAMES and _like_numbers(values)):
        return "national id"
    if _share(PHONE, values) >= MOST and (_share_found(PHONE_PUNCTUATION, values) >= MOST or PHONE_WORDS & set(words)):
        return "phone"
    if EMAIL_WORDS & set(words) and sum("@" in value for value in values) >= MOST * len(values):
        return "email"
    if _share(PERSON_NAME, values) >= MOST and (
        name in SURE_NAMES or (name in LIKELY_NAMES and distinct_share >= VARIED)
    ):
        return "name"
    return None


def _share(pattern: re.Pattern[str], values: Sequence[str]) -> float:
    return sum(bool(pattern.fullmatch(value.strip())) for value in values) / len(values)


def _share_found(pattern: re.Pattern[str], values: Sequence[str]) -> float:
    return sum(bool(pattern.search(value.strip())) for value in values) / len(values)


def _like_numbers(values: Sequence[str]) -> bool:
    """Ids have digits and some length; flags such as `passport: yes` do not."""
    return sum(len(value) >= 6 and any(map(str.isdigit, value)) for value in values) >= MOST * len(values)
