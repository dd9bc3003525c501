// Node's pg, by the URLs of the Services: one for writes, one for each slave.
//
// Keys: DB_PRIMARY_URL, DB_READ_REPLICA_URLS, DB_POOL_RECYCLE. What it does and prints: ../README.md.
"use strict";

const { Pool } = require("pg");
const { DB_PRIMARY_URL, DB_READ_REPLICA_URLS, DB_POOL_RECYCLE, TABLE = "visits", RUN_SECONDS = "60" } = process.env;

const PAUSE_MS = 100; // between two turns, and before the next after an error
const until = Date.now() + RUN_SECONDS * 1000;

const say = (...words) => console.log(Date.now(), ...words);

function pool(url) {
  const made = new Pool({
    connectionString: url,
    // A host that is silent must not hold us up. Connections are closed after a while, so that
    // reads leave a slave that became master.
    connectionTimeoutMillis: 3000,
    query_timeout: 5000,
    maxLifetimeSeconds: Number(DB_POOL_RECYCLE),
  });
  made.on("error", () => {}); // an idle connection broke: unheard, this would end the process
  return made;
}

const writes = pool(DB_PRIMARY_URL);
const reads = DB_READ_REPLICA_URLS.split(",").map(pool);

// A row, and then the same row read by the write URL.
async function write() {
  const row = Date.now();
  await writes.query(`insert into ${TABLE} (id) values ($1)`, [row]);
  say("wrote", row);
  const { rows } = await writes.query(`select 1 from ${TABLE} where id = $1`, [row]);
  say(rows.length ? "saw" : "missed", row);
}

let turns = 0; // round robin over the slaves
async function read() {
  const { rows } = await reads[turns++ % reads.length].query(
    `select host(inet_server_addr()) as server, pg_is_in_recovery() as recovery,
       coalesce(max(id), 0) as newest from ${TABLE}`);
  say("read", rows[0].server, rows[0].recovery ? "slave" : "master", rows[0].newest);
}

async function repeat(turn) {
  while (Date.now() < until) {
    try {
      await turn();
    } catch (error) { // the pool drops what broke: the next turn connects anew
      say("failed", turn.name, error.code ?? error.name, error.message.split(/\s+/).join(" "));
    }
    await new Promise((done) => setTimeout(done, PAUSE_MS));
  }
}

Promise.all([repeat(write), repeat(read)]).then(() => [writes, ...reads].forEach((one) => one.end()));
