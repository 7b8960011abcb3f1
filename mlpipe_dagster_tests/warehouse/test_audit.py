"""The audit trail on SQLite and Postgres: one chain whoever writes and seals, and nothing changed unseen."""

import hashlib
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from mlpipe_dagster.warehouse import audit, audit_chain
from mlpipe_dagster.warehouse.audit_rows import AuditRow
from mlpipe_dagster.warehouse.catalogue import Catalogue
from mlpipe_dagster.warehouse.outbox import Owner
from mlpipe_dagster_tests.warehouse.postgres_server import new_database

LOANS = Owner("ann", "loans", 1)
WRITERS, ENTRIES, SEALERS = 4, 25, 3


@pytest.fixture(params=["sqlite", "postgres"])
def catalogue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalogue]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'catalogue.db'}"
    else:
        url = new_database(request.getfixturevalue("postgres"))
    made = Catalogue(url)
    made.create()
    yield made
    made.dispose()


def enter(catalogue: Catalogue, *names: str) -> None:
    for name in names:
        with catalogue.transaction() as session:
            audit.record(session, name, audit.CORE, LOANS, cause="c-1", step=1)


def tamper(catalogue: Catalogue, *statements: str) -> None:
    """As somebody who may do anything to the database would."""
    if catalogue.url.startswith("sqlite"):
        tables = ("audit", "audit_seals")
        names = [f"{table}_refuses_{action}" for table in tables for action in ("update", "delete")]
        before = [f"DROP TRIGGER {name}" for name in names]
    else:
        before = [f"DROP TRIGGER {table}_append_only ON {table}" for table in ("audit", "audit_seals")]
        before.append("ALTER TABLE audit_seals DROP CONSTRAINT fk_audit_seals_audit_id_audit")
    with catalogue._engine.connect() as connection:
        if catalogue.url.startswith("sqlite"):
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            connection.exec_driver_sql("BEGIN")
        for statement in (*before, *statements):
            connection.exec_driver_sql(statement)
        connection.commit()


def test_an_entry_says_who_when_what_and_why(catalogue: Catalogue) -> None:
    with catalogue.transaction() as session:
        audit.record(
            session, "stage.taken", audit.run("run-1"), LOANS, cause="c-1", coordinates="bias-events/0/7", stage="bias",
            nothing=None,
        )  # fmt: skip
    with catalogue.reading() as session:
        (row,) = audit.list_audit(session, audit.AuditFilter(), 0, 10)
        said = audit.audit_object(row)
    assert isinstance(row.at, datetime)
    del said["at"]
    assert said == {
        "id": 1,
        "actor_kind": "run",
        "actor": "run-1",
        "user_id": "ann",
        "dataset_id": "loans",
        "version": "v1",
        "what": "stage.taken",
        "cause": "c-1",
        "coordinates": "bias-events/0/7",
        "run_id": "run-1",
        "detail": {"stage": "bias"},
    }


def test_a_hash_can_be_computed_by_hand() -> None:
    at = datetime(2025, 10, 10, 12)
    row = AuditRow(id=3, at=at, actor_kind="user", actor="ann", user_id="ann", dataset_id="d", number=2,
                   what="dataset.uploaded", cause=None, coordinates=None, run_id=None, detail={"size": 10})  # fmt: skip
    written = (
        '[1,"2025-10-10T12:00:00.000000","' + "0" * 64 + '",3,{"actor":"ann","actor_kind":"user",'
        '"at":"2025-10-10T12:00:00.000000","cause":null,"coordinates":null,"dataset_id":"d","detail":{"size":10},'
        '"id":3,"run_id":null,"user_id":"ann","version":"v2","what":"dataset.uploaded"}]'
    )
    assert audit.hash_of(row, 1, at, audit.FIRST_PREVIOUS) == hashlib.sha256(written.encode()).hexdigest()


def test_what_is_rolled_back_leaves_no_entry(catalogue: Catalogue) -> None:
    with pytest.raises(RuntimeError), catalogue.transaction() as session:
        audit.record(session, "dataset.uploaded", audit.CORE)
        raise RuntimeError
    assert audit.seal(catalogue) == 0


def test_one_chain_of_many_writers_and_sealers(catalogue: Catalogue) -> None:
    failed: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for number in range(ENTRIES):
                if name.startswith("sealer"):
                    audit.seal(catalogue)
                else:
                    enter(catalogue, f"{name}.{number}")
        except BaseException as error:
            failed.append(error)

    names = [f"writer{n}" for n in range(WRITERS)] + [f"sealer{n}" for n in range(SEALERS)]
    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    audit.seal(catalogue)
    chain = audit_chain.verify(catalogue)
    assert (failed, chain.length, chain.waiting, chain.faults) == ([], WRITERS * ENTRIES, 0, ())


def test_the_database_refuses_changes(catalogue: Catalogue) -> None:
    enter(catalogue, "a.one")
    audit.seal(catalogue)
    for statement in (
        "UPDATE audit SET actor = 'eve'", "DELETE FROM audit",
        "UPDATE audit_seals SET hash = 'x'", "DELETE FROM audit_seals",
    ):  # fmt: skip
        with pytest.raises(DBAPIError, match="append-only"), catalogue.transaction() as session:
            session.execute(text(statement))


@pytest.mark.parametrize(
    ("statement", "faults"),
    [
        ("UPDATE audit SET actor = 'eve' WHERE id = 2", ("changed: entry 2 (a.two, seal 2)",)),
        ("UPDATE audit SET detail = '{}' WHERE id = 1", ("changed: entry 1 (a.one, seal 1)",)),
        ("DELETE FROM audit WHERE id = 2", ("missing: entry 2 (seal 2)",)),
        (
            "DELETE FROM audit_seals WHERE number = 2",
            ("missing: seal 2", "put in: entry 2 (a.two) was never sealed, or its seal was cut off"),
        ),
        (
            "INSERT INTO audit (id, at, actor_kind, what, detail) "
            "VALUES (9, '2025-10-10 12:00:00.000000', 'user', 'role.changed', '{}')",
            ("put in: entry 9 (role.changed) was never sealed, or its seal was cut off",),
        ),
        (
            "UPDATE audit_seals SET hash = 'f' WHERE number = 2",
            ("changed: entry 2 (a.two, seal 2)", "seal 3 does not follow seal 2: one of them was changed"),
        ),
    ],
)
def test_tampering_shows_and_is_named(catalogue: Catalogue, statement: str, faults: tuple[str, ...]) -> None:
    enter(catalogue, "a.one", "a.two", "a.three")
    audit.seal(catalogue)
    assert audit_chain.verify(catalogue).faults == ()
    tamper(catalogue, statement)
    assert audit_chain.verify(catalogue).faults == faults


def test_a_cut_off_end_shows_by_the_head_that_was_kept(catalogue: Catalogue) -> None:
    enter(catalogue, "a.one", "a.two")
    audit.seal(catalogue)
    kept = audit_chain.verify(catalogue).head
    enter(catalogue, "a.three")
    audit.seal(catalogue)
    assert audit_chain.verify(catalogue, kept).faults == ()
    tamper(catalogue, "DELETE FROM audit_seals WHERE number > 1", "DELETE FROM audit WHERE id > 1")
    assert audit_chain.verify(catalogue).faults == ()  # nothing inside tells: that is what the head is kept for
    assert audit_chain.verify(catalogue, kept).faults == (
        f"the head {kept} is not in the chain: its end was cut off, or the chain was written anew",
    )
    enter(catalogue, "a.other")
    audit.seal(catalogue)
    assert len(audit_chain.verify(catalogue, kept).faults) == 1


def test_entries_wait_until_they_are_sealed(catalogue: Catalogue) -> None:
    enter(catalogue, "a.one")
    chain = audit_chain.verify(catalogue)
    assert (chain.length, chain.waiting, chain.faults, chain.head) == (0, 1, (), "0" * 64)
    assert audit.seal(catalogue) == 1
    assert audit.seal(catalogue) == 0


def test_the_authenticated_actor_is_who_did_it() -> None:
    assert audit.person("ann") == audit.Actor("user", "ann")
    with audit.acting(audit.Actor("admin", "root")):
        assert audit.person("ann") == audit.Actor("admin", "root")
    assert audit.person(None) == audit.Actor("user", None)
