// JDBC, by the URIs that name every instance.
//
// Keys: jdbc_uri, jdbc_read_uri, DB_POOL_RECYCLE. What it does and prints: ../README.md.

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.Properties;

public class Main {
    static final String TABLE = System.getenv().getOrDefault("TABLE", "visits");
    static final long RUN_MS = Long.parseLong(System.getenv().getOrDefault("RUN_SECONDS", "60")) * 1000;
    static final long RECYCLE_MS = Long.parseLong(System.getenv("DB_POOL_RECYCLE")) * 1000;
    static final long PAUSE_MS = 100; // between two turns, and before the next after an error

    interface Turn {
        void take(Connection connection) throws SQLException;
    }

    static long now() {
        return System.currentTimeMillis();
    }

    static void say(Object what, Object text) {
        System.out.println(now() + " " + what + " " + text);
    }

    // A row, and then the same row read by the write URL.
    static void write(Connection connection) throws SQLException {
        long row = now();
        try (var insert = connection.prepareStatement("insert into " + TABLE + " (id) values (?)")) {
            insert.setLong(1, row);
            insert.executeUpdate();
        }
        say("wrote", row);
        try (var select = connection.prepareStatement("select 1 from " + TABLE + " where id = ?")) {
            select.setLong(1, row);
            say(select.executeQuery().next() ? "saw" : "missed", row);
        }
    }

    static void read(Connection connection) throws SQLException {
        try (var select = connection.prepareStatement("select host(inet_server_addr()),"
                + " case when pg_is_in_recovery() then 'slave' else 'master' end, coalesce(max(id), 0) from " + TABLE)) {
            ResultSet row = select.executeQuery();
            row.next();
            say("read", row.getString(1) + " " + row.getString(2) + " " + row.getLong(3));
        }
    }

    static void repeat(String what, String uri, Turn turn) {
        var options = new Properties(); // seconds: a host that is silent must not hold us up
        options.setProperty("connectTimeout", "3");
        options.setProperty("socketTimeout", "5");
        for (long until = now() + RUN_MS; now() < until; pause()) {
            try (Connection connection = DriverManager.getConnection(uri, options)) {
                // Closed after a while, so that reads leave a slave that became master.
                long expires = Math.min(until, now() + RECYCLE_MS);
                for (; now() < expires; pause()) turn.take(connection);
            } catch (SQLException error) {
                say("failed", what + " " + error.getSQLState() + " " + error.getMessage().replaceAll("\\s+", " "));
            }
        }
    }

    static void pause() {
        try {
            Thread.sleep(PAUSE_MS);
        } catch (InterruptedException ended) {
            Thread.currentThread().interrupt();
        }
    }

    public static void main(String[] arguments) {
        new Thread(() -> repeat("read", System.getenv("jdbc_read_uri"), Main::read)).start();
        repeat("write", System.getenv("jdbc_uri"), Main::write);
    }
}
