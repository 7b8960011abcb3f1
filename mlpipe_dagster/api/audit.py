"""Routes of the audit trail: entries by page, whole as a file, and whether the chain holds.

What is entered, and how entries are chained: warehouse/audit.py.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from mlpipe_dagster.api.parameters import OptionalId, PlainText, TheWarehouse
from mlpipe_dagster.warehouse import audit, audit_chain
from mlpipe_dagster.warehouse.audit import AuditFilter
from mlpipe_dagster.warehouse.warehouse import Warehouse

router = APIRouter(prefix="/audit", tags=["audit"])

READ_AT_ONCE = 1000
LARGEST_ID = 2**63 - 1
LARGEST_VERSION = 2**31 - 1
Head = Annotated[str | None, Query(pattern="^[0-9a-f]{64}$")]
COLUMNS = (
    "id", "at", "what", "actor_kind", "actor", "user_id", "dataset_id", "version", "cause", "coordinates", "run_id",
    "detail",
)  # fmt: skip
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for a formula."""


def _wanted(
    user_id: OptionalId = None,
    dataset_id: OptionalId = None,
    version: Annotated[int | None, Query(ge=1, le=LARGEST_VERSION, description="of the dataset: 1 for v1")] = None,
    what: Annotated[PlainText | None, Query(description="such as stage.taken")] = None,
    since: datetime | None = None,
    until: Annotated[datetime | None, Query(description="not included; both are UTC unless they say otherwise")] = None,
) -> AuditFilter:
    return AuditFilter(user_id, dataset_id, version, what, _naive(since), _naive(until))


Wanted = Annotated[AuditFilter, Depends(_wanted)]


def _naive(moment: datetime | None) -> datetime | None:
    if moment is None or moment.tzinfo is None:
        return moment
    try:
        return moment.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:  # within a day of the calendar's ends
        return moment.replace(tzinfo=None)


@router.get("")
def read(
    warehouse: TheWarehouse,
    wanted: Wanted,
    after: Annotated[int, Query(ge=0, le=LARGEST_ID, description="the last id of the page before")] = 0,
    limit: Annotated[int, Query(ge=1, le=READ_AT_ONCE)] = 100,
) -> list[dict[str, Any]]:
    """Who changed what, when and why: entries oldest first."""
    with warehouse.reading() as session:
        return [audit.audit_object(row) for row in audit.list_audit(session, wanted, after, limit)]


@router.get("/export", response_class=StreamingResponse)
def export(warehouse: TheWarehouse, wanted: Wanted, format: Literal["csv", "json"] = "csv") -> StreamingResponse:  # noqa: A002 - the name in the query
    """All entries that fit, as a file. In CSV a cell that a spreadsheet would run as a formula begins with `'`."""
    entries = _all(warehouse, wanted)
    lines, kind = (_csv(entries), "text/csv") if format == "csv" else (_json(entries), "application/json")
    named = {"Content-Disposition": f'attachment; filename="audit.{format}"'}
    return StreamingResponse(lines, media_type=f"{kind}; charset=utf-8", headers=named)


@router.get("/chain")
def chain(warehouse: TheWarehouse, head: Head = None) -> dict[str, Any]:
    """Compute every hash again. Keep `head` elsewhere: given at a later time, it shows whether the end was cut off."""
    found = audit_chain.verify(warehouse.catalogue, head)
    return {
        "length": found.length,
        "head": found.head,
        "waiting": found.waiting,
        "late": found.late,
        "faults": list(found.faults),
    }


def _all(warehouse: Warehouse, wanted: AuditFilter) -> Iterator[dict[str, Any]]:
    after = 0
    while True:
        with warehouse.reading() as session:
            page = [audit.audit_object(row) for row in audit.list_audit(session, wanted, after, READ_AT_ONCE)]
        yield from page
        if len(page) < READ_AT_ONCE:
            return
        after = page[-1]["id"]


def _csv(entries: Iterable[dict[str, Any]]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    for entry in entries:
        detail = json.dumps(entry["detail"], ensure_ascii=False)
        cells = entry | {"detail": detail}
        writer.writerow([_cell(cells[name]) for name in COLUMNS])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()  # the header, where nothing fits


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


def _json(entries: Iterable[dict[str, Any]]) -> Iterator[str]:
    before = "[\n"
    for entry in entries:
        yield before + json.dumps(entry, ensure_ascii=False)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"
