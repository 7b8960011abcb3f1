"""What queries of the catalogue share: whose rows are meant, text that is looked for, a page of what was found."""

from itertools import islice
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Select
from sqlalchemy.orm import Session


class OfVersion(Protocol):
    """Whatever says which dataset version it belongs to: an owner, the version itself, a row of its pipeline."""

    @property
    def user_id(self) -> str:
        """Whose dataset."""

    @property
    def dataset_id(self) -> str:
        """Which dataset."""

    @property
    def number(self) -> int | None:
        """Which version of it."""


def of_version(kind: Any, which: OfVersion) -> tuple[ColumnElement[bool], ...]:
    """The conditions under which a row of that kind belongs to the same dataset version."""
    return kind.user_id == which.user_id, kind.dataset_id == which.dataset_id, kind.number == which.number


def page_of(session: Session, query: Select[Any], tags: tuple[str, ...], skip: int, limit: int) -> list[Any]:
    """A page of the rows that have any of the tags; without tags the database counts the page off itself."""
    if not tags:
        return list(session.scalars(query.offset(skip).limit(limit)))
    return list(islice((row for row in session.scalars(query) if set(tags) & set(row.tags)), skip, skip + limit))


def containing(column: Any, text: str) -> ColumnElement[bool]:
    """The column holds the text, in any case; `%` and `_` are plain characters."""
    pattern = f"%{text.replace('/', '//').replace('%', '/%').replace('_', '/_')}%"
    found: ColumnElement[bool] = column.ilike(pattern, escape="/")
    return found
