// Go's pgx, by the URIs that name every instance.
//
// Keys: uri, read_uri, DB_POOL_RECYCLE. What it does and prints: ../README.md.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const pause = 100 * time.Millisecond // between two turns, and before the next after an error

func say(words ...any) { fmt.Println(append([]any{time.Now().UnixMilli()}, words...)...) }

// A row, and then the same row read by the write URL.
func write(ctx context.Context, pool *pgxpool.Pool, table string) error {
	row := time.Now().UnixMilli()
	if _, err := pool.Exec(ctx, "insert into "+table+" (id) values ($1)", row); err != nil {
		return err
	}
	say("wrote", row)
	var found int
	err := pool.QueryRow(ctx, "select count(*) from "+table+" where id = $1", row).Scan(&found)
	if err == nil {
		say(map[bool]string{true: "saw", false: "missed"}[found == 1], row)
	}
	return err
}

func read(ctx context.Context, pool *pgxpool.Pool, table string) error {
	var server, role string
	var newest int64
	err := pool.QueryRow(ctx, "select host(inet_server_addr()), case when pg_is_in_recovery()"+
		" then 'slave' else 'master' end, coalesce(max(id), 0) from "+table).Scan(&server, &role, &newest)
	if err == nil {
		say("read", server, role, newest)
	}
	return err
}

func repeat(what, uri, table string, until time.Time,
	turn func(context.Context, *pgxpool.Pool, string) error) {
	config, err := pgxpool.ParseConfig(uri)
	if err != nil {
		panic(err) // pgx leaves the password out of it
	}
	// A host that is silent must not hold us up. Connections are closed after a while, so that
	// reads leave a slave that became master.
	config.ConnConfig.ConnectTimeout = 3 * time.Second
	recycle, _ := strconv.Atoi(os.Getenv("DB_POOL_RECYCLE"))
	config.MaxConnLifetime = time.Duration(recycle) * time.Second
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		panic(err)
	}
	defer pool.Close()
	for ; time.Now().Before(until); time.Sleep(pause) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		if err := turn(ctx, pool, table); err != nil { // the pool drops what broke
			say("failed", what, strings.Join(strings.Fields(err.Error()), " "))
		}
		cancel()
	}
}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func main() {
	table := setting("TABLE", "visits")
	seconds, _ := strconv.Atoi(setting("RUN_SECONDS", "60"))
	until := time.Now().Add(time.Duration(seconds) * time.Second)
	var both sync.WaitGroup
	both.Go(func() { repeat("write", os.Getenv("uri"), table, until, write) })
	both.Go(func() { repeat("read", os.Getenv("read_uri"), table, until, read) })
	both.Wait()
}
