#include "postgres.h"

#include <algorithm>

namespace matriarch::sim {
namespace {

constexpr Duration kProbeEvery = milliseconds(150);
constexpr Duration kProbePromotion = milliseconds(2);
constexpr Duration kKnock = milliseconds(1000);  // until a silent postmaster is told of
constexpr Duration kStopLook = milliseconds(50);
constexpr std::uint64_t kRowBytes = 200, kCheckpointBytes = 120;
constexpr const char* kNoSpace = "signal 6, PANIC: no space left on device";

// The value of `name` in a rendered postgresql.conf, with its quotes undone; the last one wins.
std::string value_of(const std::string& conf, const std::string& name) {
    const auto at = conf.rfind("\n" + name + " = '");
    if (at == std::string::npos) return "";
    std::string out;
    for (auto i = at + name.size() + 5; i < conf.size(); ++i) {
        if (conf[i] == '\'' && conf[i + 1] != '\'') break;
        if (conf[i] == '\'' || conf[i] == '\\') ++i;
        out += conf[i];
    }
    return out;
}

// host='x' of a connection string.
std::string option_of(const std::string& conninfo, const std::string& key) {
    const auto at = (" " + conninfo).find(" " + key + "='");
    if (at == std::string::npos) return "";
    const auto begin = at + key.size() + 2;
    return conninfo.substr(begin, conninfo.find('\'', begin) - begin);
}

}  // namespace

Postgres::Conf Postgres::Conf::read(const std::string& text) {
    Conf out;
    const auto conninfo = value_of(text, "primary_conninfo");
    out.host = option_of(conninfo, "host");
    out.address = option_of(conninfo, "hostaddr");
    out.slot = value_of(text, "primary_slot_name");
    out.restore = !value_of(text, "restore_command").empty();
    out.read_only = value_of(text, "default_transaction_read_only") != "off";
    const auto names = value_of(text, "synchronous_standby_names");
    out.sync_text = names;
    if (const auto open = names.find('('); open != std::string::npos) {
        out.sync_any = names.starts_with("ANY");
        out.sync_count = std::atoi(names.c_str() + names.find(' '));
        for (auto at = names.find('"', open); at != std::string::npos;) {
            const auto close = names.find('"', at + 1);
            out.sync_names.push_back(names.substr(at + 1, close - at - 1));
            at = names.find('"', close + 1);
        }
    }
    return out;
}

Postgres::Postgres(Place place, std::shared_ptr<Process> agent, Deliver deliver)
    : place_(std::move(place)), agent_(std::move(agent)), deliver_(std::move(deliver)) {}

void Postgres::tell(const std::string& what) const {
    world().tell(place_.name.value, what);
}

void Postgres::deliver_soon(agent::Event event) {
    agent_->after(std::chrono::microseconds(100),
                  [this, event = std::move(event)]() mutable { deliver_(std::move(event)); });
}

// --- start and end --------------------------------------------------------------------------

Result<std::uint64_t> Postgres::start(agent::Role role, const agent::ConfigFiles& files_) {
    if (server_) return make_error(ErrorKind::Bug, "PostgreSQL can't start: a process is left");
    if (role == agent::Role::Master) place_.witness.makes_master(*this);
    files().standby_signal = role == agent::Role::Slave;
    conf_ = Conf::read(files_.postgresql_conf);
    ++generation_;
    server_ = std::make_shared<Process>(world());
    phase_ = Phase::Starting;
    recovery_ = role == agent::Role::Slave;
    promoting_ = false;
    received_ = Lsn();
    thawed_at_.reset();
    const bool slow = world().chance(5);
    server_->after(world().between(milliseconds(80), milliseconds(slow ? 4000 : 400)),
                   [this] { up(); });
    tell(recovery_ ? "starts as slave" : "starts as master");
    return generation_;
}

void Postgres::up() {
    if (files().kind != agent::DataFacts::Kind::Complete || place_.volume.full)
        return ended("exit code 1");
    phase_ = Phase::Up;
    files().clean_shutdown = false;
    if (!recovery_) files().append(kCheckpointBytes, 0);
    files().synced = replayed_ = files().wal.size();
    if (!recovery_) files().checkpoint_timeline = files().timeline();
    tell("accepts connections at " + files().end().str() + " on timeline " +
         std::to_string(files().timeline().value));
    keep_probing(generation_);
    if (recovery_ && conf_.restore) restore();
    if (recovery_) tend_receiver(generation_);
}

void Postgres::stop_fast() {
    if (!server_ || phase_ == Phase::Stopping) return;
    server_->after(milliseconds(1), [this] {
        if (phase_ == Phase::Stopping) return;
        const bool was_up = phase_ == Phase::Up;
        phase_ = Phase::Stopping;
        commits_.clear();  // their sessions end unanswered
        drop_receiver();
        if (was_up && !recovery_) files().append(kCheckpointBytes, 0);
        files().synced = files().wal.size();
        pump_all();
        server_->after(world().between(milliseconds(20), milliseconds(200)),
                       [this] { finish_stop(); });
    });
}

// A clean stop waits until every slave that is connected has all.
void Postgres::finish_stop() {
    for (const auto& link : links_)
        if (link->open_above && link->flushed < files().end()) {
            pump(link);
            server_->after(kStopLook, [this] { finish_stop(); });
            return;
        }
    files().clean_shutdown = true;
    files().checkpoint_timeline = files().timeline();
    ended("exit code 0");
}

void Postgres::ended(const std::string& how) {
    if (!server_) return;
    const auto generation = generation_;
    server_->kill();
    server_.reset();
    phase_ = Phase::Off;
    promoting_ = connecting_ = flushing_ = false;
    ++attempt_;
    commits_.clear();
    close_links();
    tell("ended: " + how);
    deliver_soon(agent::PostmasterEnded{generation, how});
}

// The kernel tells the other ends, where it can.
void Postgres::close_links() {
    drop_receiver();
    for (const auto& link : links_) {
        link->open_above = false;
        place_.net.send(place_.host, link->slave->place_.host,
                        [link] { link->open_below = false; });
    }
    links_.clear();
}

void Postgres::die(const std::string& how) {
    if (server_) ended(how);
    end_tools();
}

void Postgres::vanish() {
    if (server_) server_->kill();
    server_.reset();
    phase_ = Phase::Off;
    close_links();
    jobs_.clear();
}

void Postgres::kill_all() {
    if (killing_) return;
    killing_ = true;
    agent_->after(world().between(std::chrono::microseconds(200), milliseconds(20)), [this] {
        die("signal 9");
        agent_->after(world().between(milliseconds(1), milliseconds(5)), [this] {
            killing_ = false;
            deliver_(agent::AllGone{});
        });
    });
}

void Postgres::freeze() {
    if (!server_) return;
    server_->freeze();
    const auto since = clock().now();
    agent_->after(kKnock, [this, generation = generation_, since] {
        look_whether_silent(generation, since);
    });
}

void Postgres::look_whether_silent(std::uint64_t generation, TimePoint since) {
    if (generation != generation_ || !server_ || !server_->frozen()) return;
    deliver_(agent::Knocked{generation, since});
}

void Postgres::thaw() {
    if (!server_ || !server_->frozen()) return;
    note_thaw();
    const auto held = server_;
    held->thaw();
    if (server_) deliver_soon(agent::Knocked{generation_, std::nullopt});
}

// --- what a running server is told ------------------------------------------------------------

Status Postgres::configure(const agent::ConfigFiles& files_) {
    if (!server_) return {};
    server_->after(milliseconds(3), [this, conf = Conf::read(files_.postgresql_conf)] {
        const bool same = conf.same_upstream(conf_);
        const bool restores = conf.restore && !conf_.restore;
        conf_ = conf;
        if (!same) drop_receiver();
        if (restores && recovery_) restore();
        acknowledge();
    });
    for (const int ms : {8, 20, 60}) probe_soon(milliseconds(ms));
    return {};
}

Status Postgres::reserve_timelines(Timeline current, Timeline reserved) {
    for (auto n = current.value + 1; n <= reserved.value; ++n)
        files().history_files.insert(Timeline(n));
    return {};
}

Status Postgres::promote() {
    place_.witness.makes_master(*this);
    return trigger_promotion();
}

void Postgres::promote_by_hand() {
    (void)trigger_promotion();
}

Status Postgres::trigger_promotion() {
    if (!server_) return make_error(ErrorKind::Unavailable, "no postmaster to promote");
    if (promoting_ || phase_ != Phase::Up || !recovery_) return {};
    promoting_ = true;
    server_->after(world().between(milliseconds(10), milliseconds(120)),
                   [this] { finish_promotion(); });
    return {};
}

void Postgres::finish_promotion() {
    promoting_ = false;
    if (phase_ != Phase::Up || !recovery_) return;
    if (place_.volume.full) return ended(kNoSpace);
    drop_receiver();
    const Timeline opened = files().open_timeline(world().fresh());
    files().synced = replayed_ = files().wal.size();
    files().standby_signal = false;
    recovery_ = false;
    tell("promoted: timeline " + std::to_string(opened.value) + " from " +
         files().history.back().end.str());
    pump_all();
    probe_soon(kProbePromotion);
    const bool slow = world().chance(10);
    server_->after(world().between(milliseconds(100), milliseconds(slow ? 5000 : 700)),
                   [this] { files().checkpoint_timeline = files().timeline(); });
}

std::vector<HistoryEntry> Postgres::history(Timeline timeline) {
    return timeline == data().timeline() ? data().history : std::vector<HistoryEntry>();
}

// --- the probe --------------------------------------------------------------------------------

void Postgres::probe_soon(Duration wait) {
    if (server_) server_->after(wait, [this] { probe(); });
}

void Postgres::keep_probing(std::uint64_t generation) {
    if (generation != generation_ || !server_) return;
    probe();
    server_->after(kProbeEvery, [this, generation] { keep_probing(generation); });
}

void Postgres::probe() {
    if (phase_ != Phase::Up) return;
    deliver_soon(agent::Probed{generation_, clock().now(), status()});
}

postgres::ServerStatus Postgres::status() const {
    postgres::ServerStatus s;
    const auto& d = data();
    s.in_recovery = recovery_;
    s.read_only_default = conf_.read_only;
    s.timeline = d.timeline();
    s.version_num = 170000;
    s.synchronous_standby_names = conf_.sync_text;
    if (recovery_) {
        s.received = received_;
        s.replayed = replayed_ == 0 ? Lsn() : d.wal[replayed_ - 1].end;
        s.conninfo_set = !conf_.host.empty();
        s.receiving = receiver_ && receiver_->open_below;
        if (s.receiving) {
            s.stream_age =
                std::chrono::duration_cast<milliseconds>(world().now() - receiver_->heard_below);
            s.sender_host = conf_.host;
            s.sender_port = 5432;
            s.receiving_timeline = d.timeline();
        }
    } else {
        s.written = d.end();
        s.flushed = d.synced_end();
    }
    for (const auto& link : links_)
        if (link->open_above)
            s.streams.push_back(
                {link->application, "streaming", "", link->sent, link->flushed, link->replayed});
    for (const auto& name : d.slots) {
        const bool active = std::any_of(links_.begin(), links_.end(), [&](const auto& l) {
            return l->open_above && l->slot == name;
        });
        s.slots.push_back({name, active, "reserved", Lsn()});
    }
    return s;
}

std::optional<TimePoint> Postgres::disk_stalled_since() const {
    const auto& since = place_.volume.stalled_since;
    if (!watching_disk_ || !since) return {};
    return clock().now() - (world().now() - *since);
}

void Postgres::remember_flush(Timeline, Lsn flushed) {
    place_.volume.flush_hint = flushed;
}

// --- commits ----------------------------------------------------------------------------------

void Postgres::write(std::uint64_t row, Reply reply) {
    if (!writable()) return reply(false);
    if (place_.volume.full && place_.volume.wal_has_room) return reply(false);
    if (place_.volume.full) return ended(kNoSpace);
    files().append(kRowBytes, row);
    commits_.push_back({row, files().end(), std::move(reply)});
    flush_soon();
}

void Postgres::flush_soon() {
    if (flushing_ || !server_ || place_.volume.stalled_since) return;
    flushing_ = true;
    server_->after(world().between(std::chrono::microseconds(300), milliseconds(3)),
                   [this, count = files().wal.size()] { flushed(count); });
}

void Postgres::flushed(std::size_t count) {
    flushing_ = false;
    if (place_.volume.stalled_since) return;  // volume_goes_on() begins again
    files().synced = std::max(files().synced, count);
    pump_all();
    acknowledge();
    if (files().synced < files().wal.size()) flush_soon();
}

void Postgres::volume_goes_on() {
    if (server_ && files().synced < files().wal.size()) flush_soon();
}

void Postgres::acknowledge() {
    if (phase_ != Phase::Up) return;
    while (!commits_.empty() && commits_.front().end <= files().synced_end() &&
           enough_standbys(commits_.front().end)) {
        Commit commit = std::move(commits_.front());
        commits_.pop_front();
        place_.witness.acknowledges(*this, commit.row, commit.end);
        commit.reply(true);
    }
}

bool Postgres::enough_standbys(Lsn end) const {
    int wanted = conf_.sync_count;
    for (const auto& name : conf_.sync_names) {
        if (wanted <= 0) break;
        const auto link = std::find_if(links_.begin(), links_.end(), [&](const auto& l) {
            return l->open_above && l->application == name;
        });
        if (link == links_.end()) continue;
        if ((*link)->flushed >= end)
            --wanted;
        else if (!conf_.sync_any)
            return false;  // FIRST: a connected one of higher priority must have it
    }
    return wanted <= 0;
}

}  // namespace matriarch::sim
