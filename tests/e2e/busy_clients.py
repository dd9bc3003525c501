#!/usr/bin/python3
"""Clients that reconnect: pgbench gives a client up at its first error.

  busy_clients.py writes|reads CLIENTS    to the database of libpq's environment variables, until standard input ends

A line `busy` is printed when every client has something done. At the end one JSON object: `done`, the moments of all
transactions by client (seconds since 1970), `errors` with client, moment, text and the step that failed, and of `writes`
how many rows were acknowledged, and how many of these are not in the table.
"""

import json
import sys
import threading
import time

import psycopg2

PAUSE = 0.1  # before a client calls again: a login costs more than a transaction
PATIENCE = 20  # seconds for the last transaction to end
TABLE = ("create table if not exists acknowledged (run bigint, client int, number int, at timestamptz default now(), "
         "primary key (run, client, number))")


class Client(threading.Thread):
    def __init__(self, number, run, over):
        super().__init__(daemon=True)
        self.number, self.run_number, self.over = number, run, over
        self.step, self.tried, self.acknowledged, self.done, self.errors = "", 0, set(), [], []

    def run(self):
        while not self.over.is_set():
            connection = None
            try:
                self.step = "connect"
                connection = psycopg2.connect("")
                connection.autocommit = True  # so that each step has its name
                with connection.cursor() as cursor:
                    while not self.over.is_set():
                        self.transaction(cursor)
                        self.done.append(time.time())
            except psycopg2.Error as error:
                lines = str(error).strip().splitlines() or [type(error).__name__]
                self.errors.append({"client": self.number, "at": time.time(), "step": self.step, "text": lines[0]})
                time.sleep(PAUSE)
            finally:
                if connection:
                    connection.close()

    def say(self, cursor, step, statement, values=()):
        self.step = step
        cursor.execute(statement, values)


class WritingClient(Client):
    def transaction(self, cursor):
        """Three statements, so that a change of master may fall between two of them."""
        self.tried += 1
        self.say(cursor, "begin", "begin")
        self.say(cursor, "insert", "insert into acknowledged (run, client, number) values (%s, %s, %s)",
                 (self.run_number, self.number, self.tried))
        self.say(cursor, "select", "select count(*) from acknowledged where run < 0")
        self.say(cursor, "commit", "commit")
        self.acknowledged.add(self.tried)


class ReadingClient(Client):
    def transaction(self, cursor):
        self.say(cursor, "select", "select price, words from items where id = %s",
                 (1 + (self.number * 7919 + len(self.done)) % 100_000,))


def session():
    connection = psycopg2.connect("")
    connection.autocommit = True
    return connection.cursor()


def missing(clients, run):
    with session() as cursor:
        cursor.execute("select client, number from acknowledged where run = %s", (run,))
        present = set(cursor.fetchall())
    return sum((one.number, number) not in present for one in clients for number in one.acknowledged)


def main():
    kind, count, run = sys.argv[1], int(sys.argv[2]), time.time_ns()
    writes = kind == "writes"
    if writes:
        with session() as cursor:
            cursor.execute(TABLE)
    over = threading.Event()
    clients = [(WritingClient if writes else ReadingClient)(number, run, over) for number in range(count)]
    for one in clients:
        one.start()
    while not all(one.done for one in clients):
        time.sleep(0.05)
    print("busy", flush=True)
    sys.stdin.read()
    over.set()
    deadline = time.monotonic() + PATIENCE
    for one in clients:
        one.join(max(0, deadline - time.monotonic()))
    stuck = sum(one.is_alive() for one in clients)
    print(json.dumps({"done": [one.done for one in clients], "errors": [error for one in clients for error in one.errors],
                      "stuck": stuck, "acknowledged": sum(len(one.acknowledged) for one in clients),
                      "lost": missing(clients, run) if writes else None}))


if __name__ == "__main__":
    main()
