"""What lists of the catalogue share: text that is looked for, and a page of what was found."""

from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Select
from sqlalchemy.orm import Session


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
