"""Connects to each of the targets (URIs, or libpq's words) that standard input has as a JSON list, and
prints who answered: run within the lab's network, with psycopg."""

import json
import sys

import psycopg

STATEMENT = "select host(inet_server_addr()), pg_is_in_recovery(), current_user, current_database()"


def look(target):
    words = {"conninfo": target} if isinstance(target, str) else target
    with psycopg.connect(**words, connect_timeout=5) as connection:
        server, recovery, user, database = connection.execute(STATEMENT).fetchone()
    return {"server": server, "role": "slave" if recovery else "master", "user": user, "database": database}


json.dump([look(one) for one in json.load(sys.stdin)], sys.stdout)
