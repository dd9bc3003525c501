// Plain libpq, by the services of pg_service.conf: main CLUSTER.
//
// Keys: pg_service.conf as a file that PGSERVICEFILE names, POSTGRES_PASSWORD, DB_POOL_RECYCLE. What
// it does and prints: ../README.md.
#include <libpq-fe.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { kPauseMs = 100 };  // between two turns, and before the next after an error

static long long now(void) {
    struct timeval t;
    gettimeofday(&t, NULL);
    return t.tv_sec * 1000LL + t.tv_usec / 1000;
}

static void say(const char* what, const char* text) {
    char line[1000];
    snprintf(line, sizeof line, "%lld %s %s", now(), what, text);
    for (char* c = line; *c; ++c)
        if (*c == '\n') *c = ' ';
    puts(line);
    fflush(stdout);
}

// The answer, or NULL after an error was told.
static PGresult* ask(PGconn* connection, const char* turn, const char* format, ...) {
    char statement[500];
    va_list values;
    va_start(values, format);
    vsnprintf(statement, sizeof statement, format, values);
    va_end(values);
    PGresult* answer = PQexec(connection, statement);
    const ExecStatusType status = PQresultStatus(answer);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) return answer;
    say(turn, PQerrorMessage(connection));
    PQclear(answer);
    return NULL;
}

// A row, and then the same row read by the write service. 0 after an error.
static int write_turn(PGconn* connection, const char* table) {
    char row[30];
    snprintf(row, sizeof row, "%lld", now());
    PGresult* answer = ask(connection, "failed write", "insert into %s (id) values (%s)", table, row);
    if (!answer) return 0;
    PQclear(answer);
    say("wrote", row);
    answer = ask(connection, "failed write", "select 1 from %s where id = %s", table, row);
    if (!answer) return 0;
    say(PQntuples(answer) ? "saw" : "missed", row);
    PQclear(answer);
    return 1;
}

static int read_turn(PGconn* connection, const char* table) {
    PGresult* answer = ask(connection, "failed read",
                           "select concat_ws(' ', host(inet_server_addr()), case when pg_is_in_recovery()"
                           " then 'slave' else 'master' end, coalesce(max(id), 0)) from %s", table);
    if (!answer) return 0;
    say("read", PQgetvalue(answer, 0, 0));
    PQclear(answer);
    return 1;
}

static void repeat(const char* service, const char* failed, const char* table,
                   int (*turn)(PGconn*, const char*)) {
    const char* const words[] = {"service", "password", "tcp_user_timeout", NULL};
    // A host that is silent must not hold us up: 5 s until an answer. The service has connect_timeout.
    const char* const values[] = {service, getenv("POSTGRES_PASSWORD"), "5000", NULL};
    const char* seconds = getenv("RUN_SECONDS");
    const long long until = now() + 1000LL * (seconds ? atoi(seconds) : 60);
    while (now() < until) {
        PGconn* connection = PQconnectdbParams(words, values, 0);
        // Closed after a while, so that reads leave a slave that became master.
        const long long expires = now() + 1000LL * atoi(getenv("DB_POOL_RECYCLE"));
        if (PQstatus(connection) != CONNECTION_OK) say(failed, PQerrorMessage(connection));
        else
            while (now() < until && now() < expires && turn(connection, table)) usleep(kPauseMs * 1000);
        PQfinish(connection);
        usleep(kPauseMs * 1000);
    }
}

int main(int count, char** words) {
    const char* table = getenv("TABLE") ? getenv("TABLE") : "visits";
    char service[100];
    const int reader = fork() == 0;
    snprintf(service, sizeof service, "%s_%s", count > 1 ? words[1] : "", reader ? "replica" : "master");
    repeat(service, reader ? "failed read" : "failed write", table, reader ? read_turn : write_turn);
}
