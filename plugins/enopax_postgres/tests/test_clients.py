"""An ordinary client of a database: SQLAlchemy with psycopg 3 and `verify-full`, directly and through the pooler."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import URL, Engine, ForeignKey, create_engine, func, inspect, select, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from enopax_postgres import pooler
from enopax_postgres.authority import Authority
from enopax_postgres.instance import real_time

pytestmark = pytest.mark.anyio


class Base(DeclarativeBase):
    """Tables of a small shop."""


class Customer(Base):
    __tablename__ = "customer"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    orders: Mapped[list[Order]] = relationship(back_populates="customer", cascade="all, delete-orphan")


class Order(Base):
    __tablename__ = "order"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"))
    amount: Mapped[int]
    customer: Mapped[Customer] = relationship(back_populates="orders")


def engine_for(database: dict[str, Any], way: str, authority: Path) -> Engine:
    """An engine as the documentation says: the given credentials, `verify-full`, prepared statements where they survive."""
    if way not in database["connection"]:
        pytest.fail("PgBouncer is missing, which scripts/install --tests brings.", pytrace=False)
    found = pooler.find(os.environ["PATH"]) if way == "pooler" else None
    prepares = found is None or found.prepares
    address, credentials = conninfo_to_dict(database["connection"][way]), database["credentials"]
    authority.write_text(credentials["ca"])
    return create_engine(
        URL.create(
            "postgresql+psycopg",
            username=credentials["username"],
            password=credentials["password"],
            host=str(address["host"]),
            port=int(str(address["port"])),
            database=str(address["dbname"]),
            query={"sslmode": "verify-full", "sslrootcert": str(authority)},
        ),
        connect_args={"connect_timeout": 30, **({} if prepares else {"prepare_threshold": None})},
    )


@pytest.fixture(params=["direct", "pooler"])
def engine(request: pytest.FixtureRequest, database: dict[str, Any], tmp_path: Path) -> Iterator[Engine]:
    """An engine with the shop's tables, made for this test and dropped after it."""
    found = engine_for(database, request.param, tmp_path / "ca.pem")
    Base.metadata.create_all(found)
    try:
        yield found
    finally:
        Base.metadata.drop_all(found)
        found.dispose()


def fill(engine: Engine) -> None:
    """Two customers, three orders."""
    with Session(engine) as session:
        session.add(Customer(name="Ada", orders=[Order(amount=3), Order(amount=4)]))
        session.add(Customer(name="Grace", orders=[Order(amount=5)]))
        session.commit()


async def test_a_schema_is_found_again_as_it_was_made(engine: Engine) -> None:
    def work() -> tuple[list[str], list[str]]:
        found = inspect(engine)
        return sorted(found.get_table_names()), [str(key["referred_table"]) for key in found.get_foreign_keys("order")]

    assert await anyio.to_thread.run_sync(work) == (["customer", "order"], ["customer"])


async def test_objects_are_stored_joined_and_deleted(engine: Engine) -> None:
    def work() -> tuple[list[tuple[str, int]], int]:
        fill(engine)
        with Session(engine) as session:
            sums = select(Customer.name, func.sum(Order.amount)).join(Order).group_by(Customer.name).order_by(Customer.name)
            found = [(name, amount) for name, amount in session.execute(sums)]
            session.delete(session.scalars(select(Customer).where(Customer.name == "Ada")).one())
            session.commit()
            return found, session.scalars(select(func.count()).select_from(Order)).one()

    assert await anyio.to_thread.run_sync(work) == ([("Ada", 7), ("Grace", 5)], 1)


async def test_a_transaction_that_fails_leaves_nothing(engine: Engine) -> None:
    def add_one_and_one_that_exists() -> None:
        with Session(engine) as session, session.begin():
            session.add(Customer(name="Barbara"))
            session.flush()
            session.add(Customer(name="Ada"))

    def work() -> list[str]:
        fill(engine)
        with pytest.raises(IntegrityError):
            add_one_and_one_that_exists()
        with Session(engine) as session:
            return list(session.scalars(select(Customer.name).order_by(Customer.name)))

    assert await anyio.to_thread.run_sync(work) == ["Ada", "Grace"]


async def test_a_migration_is_one_transaction(engine: Engine) -> None:
    def migrate() -> None:
        with engine.begin() as connection:
            connection.execute(text('ALTER TABLE "order" ADD COLUMN paid boolean'))
            connection.execute(text('INSERT INTO "order" (customer_id, amount) VALUES (0, 1)'))  # of no customer

    def work() -> list[str]:
        with pytest.raises(IntegrityError):
            migrate()
        return [str(column["name"]) for column in inspect(engine).get_columns("order")]

    assert await anyio.to_thread.run_sync(work) == ["id", "customer_id", "amount"]


async def test_sessions_at_once_lose_no_update(engine: Engine) -> None:
    def buy(_: int) -> None:
        with Session(engine) as session, session.begin():
            order = session.scalars(select(Order).where(Order.amount >= 5).with_for_update()).one()
            order.amount += 1

    def work() -> int:
        fill(engine)
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(buy, range(40)))
        with Session(engine) as session:
            return session.scalars(select(func.max(Order.amount))).one()

    assert await anyio.to_thread.run_sync(work) == 45


async def test_a_statement_is_repeated_more_often_than_it_takes_to_be_prepared(engine: Engine) -> None:
    def ask(number: int) -> int:
        with engine.connect() as connection:
            return int(connection.execute(text("SELECT :number + 1"), {"number": number}).scalar_one())

    def work() -> list[int]:
        with ThreadPoolExecutor(4) as threads:  # each connection prepares it after five times, by psycopg's default
            return list(threads.map(ask, range(80)))

    assert await anyio.to_thread.run_sync(work) == list(range(1, 81))


async def test_an_engine_that_knows_another_authority_does_not_connect(database: dict[str, Any], tmp_path: Path) -> None:
    found = engine_for(database, "direct", tmp_path / "ca.pem")
    (tmp_path / "ca.pem").write_bytes(Authority(tmp_path / "other").certificate(real_time()))

    def work() -> None:
        with pytest.raises(OperationalError, match="certificate verify failed"):
            found.connect()

    await anyio.to_thread.run_sync(work)
