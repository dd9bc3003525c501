"""SQLAlchemy with psycopg 3, by the URLs of the Services.

Keys: DATABASE_URL, DATABASE_REPLICA_URL, DB_POOL_RECYCLE. What it does and prints: ../README.md.
"""

import os
import threading
import time

from sqlalchemy import create_engine, make_url, text

TABLE = os.environ.get("TABLE", "visits")
UNTIL = time.monotonic() + float(os.environ.get("RUN_SECONDS", "60"))
PAUSE = 0.1  # seconds: between two turns, and before the next after an error

# A host that is silent must not hold us up (milliseconds for the second). Connections are closed
# after a while, so that reads leave a slave that became master.
OPTIONS = {"pool_recycle": int(os.environ["DB_POOL_RECYCLE"]),
           "connect_args": {"connect_timeout": 3, "tcp_user_timeout": 5000}}

INSERT = text(f"insert into {TABLE} (id) values (:id)")
COUNT = text(f"select count(*) from {TABLE} where id = :id")
NEWEST = text(f"select host(inet_server_addr()), pg_is_in_recovery(), coalesce(max(id), 0) from {TABLE}")


def now():
    return int(time.time() * 1000)


def say(*words):
    print(" ".join(map(str, (now(), *words))) + "\n", end="", flush=True)  # one write: two threads


def write(engine):
    """A row, and then the same row read by the write URL."""
    row = now()
    with engine.begin() as connection:
        connection.execute(INSERT, {"id": row})
    say("wrote", row)
    with engine.connect() as connection:
        found = connection.scalar(COUNT, {"id": row})
    say("saw" if found else "missed", row)


def read(engine):
    with engine.connect() as connection:
        server, recovery, newest = connection.execute(NEWEST).one()
    say("read", server, "slave" if recovery else "master", newest)


def repeat(turn, url):
    # The scheme postgresql:// leaves the driver open.
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), **OPTIONS)
    while time.monotonic() < UNTIL:
        try:
            turn(engine)
        except Exception as error:  # the pool drops what broke: the next turn connects anew
            say("failed", turn.__name__, type(error).__name__, " ".join(str(error).split()))
        time.sleep(PAUSE)
    engine.dispose()


reader = threading.Thread(target=repeat, args=(read, os.environ["DATABASE_REPLICA_URL"]))
reader.start()
repeat(write, os.environ["DATABASE_URL"])
reader.join()
