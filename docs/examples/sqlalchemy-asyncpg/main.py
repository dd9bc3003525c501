"""SQLAlchemy with asyncpg, by the URLs of the Services.

Keys: DATABASE_URL, DATABASE_REPLICA_URL, DB_POOL_RECYCLE. What it does and prints: ../README.md.
"""

import asyncio
import os
import time

from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

TABLE = os.environ.get("TABLE", "visits")
UNTIL = time.monotonic() + float(os.environ.get("RUN_SECONDS", "60"))
PAUSE = 0.1  # seconds: between two turns, and before the next after an error

# A host that is silent must not hold us up: connecting and each statement have an end. Connections
# are closed after a while, so that reads leave a slave that became master.
OPTIONS = {"pool_recycle": int(os.environ["DB_POOL_RECYCLE"]),
           "connect_args": {"timeout": 3, "command_timeout": 5}}

INSERT = text(f"insert into {TABLE} (id) values (:id)")
COUNT = text(f"select count(*) from {TABLE} where id = :id")
NEWEST = text(f"select host(inet_server_addr()), pg_is_in_recovery(), coalesce(max(id), 0) from {TABLE}")


def now():
    return int(time.time() * 1000)


def say(*words):
    print(now(), *words, flush=True)


async def write(engine):
    """A row, and then the same row read by the write URL."""
    row = now()
    async with engine.begin() as connection:
        await connection.execute(INSERT, {"id": row})
    say("wrote", row)
    async with engine.connect() as connection:
        found = await connection.scalar(COUNT, {"id": row})
    say("saw" if found else "missed", row)


async def read(engine):
    async with engine.connect() as connection:
        server, recovery, newest = (await connection.execute(NEWEST)).one()
    say("read", server, "slave" if recovery else "master", newest)


async def repeat(turn, url):
    # The scheme postgresql:// leaves the driver open.
    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"), **OPTIONS)
    while time.monotonic() < UNTIL:
        try:
            await turn(engine)
        except Exception as error:  # the pool drops what broke: the next turn connects anew
            say("failed", turn.__name__, type(error).__name__, " ".join(str(error).split()))
        await asyncio.sleep(PAUSE)
    await engine.dispose()


async def main():
    await asyncio.gather(repeat(write, os.environ["DATABASE_URL"]),
                         repeat(read, os.environ["DATABASE_REPLICA_URL"]))


asyncio.run(main())
