// matriarch-writer: a client that writes all the time and knows what must be in the database.
//
//   matriarch-writer run --uri postgresql://... [--book FILE] [--seconds N]
//   matriarch-writer verify --uri postgresql://... --book FILE
//   matriarch-writer stop
#include <CLI/CLI.hpp>
#include <csignal>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "cli/book.h"
#include "cli/dialer.h"
#include "cli/journal.h"
#include "cli/stop_signal.h"
#include "cli/table.h"
#include "cli/target.h"
#include "cli/writer.h"

namespace {

using namespace matriarch;
using namespace matriarch::cli;
using Json = nlohmann::json;

constexpr int kFailed = 1, kRowsLost = 2;
constexpr std::size_t kShownIds = 20;
constexpr Duration kReading = std::chrono::seconds(60);

struct Options {
    std::string uri, book;
    std::vector<std::string> hosts;
    int writer = 1, pid = 1;
    int every_ms = 10, connect_ms = 400, answer_ms = 1000;
    double seconds = 0, progress = 0, give_up = 300;
    bool verify = false, any_server = false;
};

Duration from_seconds(double seconds) {
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

int complain(const Error& error) {
    std::cerr << "matriarch-writer: " << error.message() << "\n";
    return kFailed;
}

Result<Target> target_of(const Options& options) {
    Result<Target> target = parse_target(options.uri);
    if (!target || options.hosts.empty()) return target;
    target->hosts.clear();
    for (const std::string& host : options.hosts) target->hosts.push_back(parse_host(host));
    return target;
}

DialRules dial_rules(const Options& options) {
    DialRules rules;
    rules.patience = milliseconds(options.connect_ms);
    rules.writable = !options.any_server;
    return rules;
}

int verify(const Options& options, const Target& target, const std::vector<RowId>& acknowledged,
           const Clock& clock, StopSignal& stop, Journal& journal) {
    Dialer dialer(target, dial_rules(options), clock, stop);
    const auto deadline = Deadline::after(clock, from_seconds(options.give_up));
    Result<Connection> session = dialer.dial(deadline, {});
    if (!session) return complain(session.error());
    const auto present = stored_ids(*session, clock, IdRange{options.writer}, kReading);
    if (!present) return complain(present.error());

    const Verdict verdict = compare(acknowledged, *present);
    const auto shown = std::min(kShownIds, verdict.lost.size());
    journal.note("verified",
                 {{"host", session->host()},
                  {"acknowledged", verdict.acknowledged},
                  {"present", verdict.present},
                  {"lost", verdict.lost.size()},
                  {"lostIds", std::vector<RowId>(verdict.lost.begin(),
                                                 verdict.lost.begin() + static_cast<long>(shown))},
                  {"unacknowledged", verdict.unacknowledged},
                  {"duplicates", verdict.duplicates}});
    return verdict.good() ? 0 : kRowsLost;
}

int run(const Options& options, const Target& target, const Clock& clock, StopSignal& stop,
        Journal& journal) {
    Book book;
    if (!options.book.empty())
        if (const Status kept = book.keep_in(options.book); !kept) return complain(kept.error());

    WriterRules rules;
    rules.every = milliseconds(options.every_ms);
    rules.patience = milliseconds(options.answer_ms);
    rules.give_up = from_seconds(options.give_up);
    rules.ids.writer = options.writer;
    if (options.seconds > 0) rules.run_for = from_seconds(options.seconds);
    if (options.progress > 0) rules.progress = from_seconds(options.progress);

    Dialer dialer(target, dial_rules(options), clock, stop);
    Writer writer(rules, dialer, book, journal, clock, stop);
    const Status done = writer.run();
    journal.note("summary", writer.summary());
    if (!done) return complain(done.error());
    if (!options.verify) return 0;
    StopSignal second;  // the first request ended the writing, not the counting
    return verify(options, target, book.acknowledged(), clock, second, journal);
}

void add_connection(CLI::App& command, Options& options) {
    command.add_option("--uri", options.uri, "Connection URI, one host or several")
        ->envname("MATRIARCH_WRITER_URI")
        ->required();
    command.add_option("--host", options.hosts, "HOST[:PORT] instead of the hosts of the URI");
    command.add_option("--book", options.book, "File of the acknowledged ids");
    command.add_option("--writer", options.writer, "Number of this writer; each has own ids")
        ->check(CLI::Range(1, 1000000));
    command.add_option("--connect-ms", options.connect_ms, "How long one host may take to connect")
        ->check(CLI::Range(10, 60000));
    command.add_option("--give-up", options.give_up, "Seconds to wait for a first session")
        ->check(CLI::PositiveNumber);
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Writes rows all the time, reconnects at once, and counts what was lost.");
    app.option_defaults()->always_capture_default();
    app.require_subcommand(1);
    Options options;

    CLI::App& writing = *app.add_subcommand("run", "Write until the time is over, or SIGTERM");
    add_connection(writing, options);
    writing.add_option("--every-ms", options.every_ms, "Time from one write to the next")
        ->check(CLI::Range(1, 3600000));
    writing.add_option("--answer-ms", options.answer_ms, "How long the answer may take")
        ->check(CLI::Range(10, 3600000));
    writing.add_option("--seconds", options.seconds, "How long to write; 0: until SIGTERM");
    writing.add_option("--progress", options.progress,
                       "Seconds between lines of progress; 0: none");
    writing.add_flag("--verify", options.verify, "Compare book and table at the end");

    CLI::App& verifying = *app.add_subcommand("verify", "Compare a book with the table");
    add_connection(verifying, options);
    verifying.add_flag("--any-server", options.any_server, "A slave's table will do");

    CLI::App& stopping = *app.add_subcommand("stop", "Ask a writer (PID 1 of its pod) to finish");
    stopping.add_option("--pid", options.pid, "Its process id");
    CLI11_PARSE(app, argc, argv);

    if (stopping.parsed()) {
        if (kill(options.pid, SIGTERM) == 0) return 0;
        return complain(make_error(ErrorKind::NotFound, "no writer has that process id"));
    }
    StopSignal stop;
    const SystemClock clock;
    Journal journal(clock);
    const Result<Target> target = target_of(options);
    if (!target) return complain(target.error());
    if (writing.parsed()) return run(options, *target, clock, stop, journal);
    const auto acknowledged = read_book(options.book);
    if (!acknowledged) return complain(acknowledged.error());
    return verify(options, *target, *acknowledged, clock, stop, journal);
}
