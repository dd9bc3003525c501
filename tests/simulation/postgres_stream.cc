// Postgres's streams: the receiver of a slave, and what an upstream sends.
#include <algorithm>

#include "postgres.h"

namespace matriarch::sim {
namespace {

constexpr Duration kRetry = milliseconds(100);          // wal_retrieve_retry_interval
constexpr Duration kConnectTimeout = seconds(3);        //
constexpr Duration kReceiverTimeout = seconds(3);       // wal_receiver_timeout
constexpr Duration kReceiverAsks = milliseconds(1500);  // half of it
constexpr Duration kSenderTimeout = seconds(5);         // wal_sender_timeout
constexpr Duration kStatusEvery = seconds(1);           // wal_receiver_status_interval
constexpr Duration kResend = milliseconds(200);         // TCP
constexpr std::uint64_t kSegment = 16u << 20;

}  // namespace

bool Postgres::streams_from(const InstanceName& upstream) const {
    return takes_sessions() && recovery_ && receiver_ && receiver_->open_below &&
           receiver_->upstream->place_.name == upstream;
}

void Postgres::drop_receiver() {
    connecting_ = false;
    ++attempt_;
    if (!receiver_) return;
    const auto link = std::exchange(receiver_, nullptr);
    link->open_below = false;
    place_.net.send(place_.host, link->upstream->place_.host, [link] { link->open_above = false; });
}

void Postgres::tend_receiver(std::uint64_t generation) {
    if (generation != generation_ || !server_ || !recovery_) return;
    server_->after(kRetry, [this, generation] { tend_receiver(generation); });
    if (phase_ != Phase::Up || promoting_) return;
    if (!receiver_) {
        if (!conf_.host.empty() && !connecting_) connect();
        return;
    }
    const Duration silent = world().now() - receiver_->heard_below;
    if (!receiver_->open_below || silent > kReceiverTimeout) return drop_receiver();
    if (silent > kReceiverAsks) ask_upstream(receiver_);
    if (world().now() - last_answer_ > kStatusEvery) answer_upstream(receiver_);
}

// A message there, and one back: each may be lost, and either end may be frozen or gone.
void Postgres::connect() {
    Postgres* upstream =
        place_.neighbours.server_at(conf_.address.empty() ? conf_.host : conf_.address);
    if (upstream == nullptr || upstream == this) return;
    connecting_ = true;
    const auto attempt = ++attempt_;
    server_->after(kConnectTimeout, [this, attempt] {
        if (attempt == attempt_) connecting_ = false;
    });
    const auto self = server_;
    const auto answer = [this, self, attempt, upstream](std::shared_ptr<Link> link) {
        place_.net.send(upstream->place_.host, place_.host, [this, self, attempt, link] {
            self->post([this, attempt, link] {
                if (attempt != attempt_ || receiver_) return;
                connecting_ = false;
                if (link) accept(link);
            });
        });
    };
    place_.net.send(place_.host, upstream->place_.host,
                    [this, upstream, self, answer, conf = conf_] {
                        if (!upstream->server_) return answer(nullptr);
                        upstream->server_->post([this, upstream, self, answer, conf] {
                            if (!self->alive()) return;
                            if (const auto why = upstream->refusal_of(*this, conf); !why.empty()) {
                                world().murmur(" " + place_.name.value + " is refused by " +
                                               upstream->place_.name.value + ": " + why);
                                return answer(nullptr);
                            }
                            auto link = std::make_shared<Link>();
                            link->upstream = upstream;
                            link->slave = this;
                            link->up = upstream->server_;
                            link->down = self;
                            link->slot = conf.slot;
                            link->application = place_.name.value;
                            link->heard_above = link->heard_below = world().now();
                            upstream->links_.push_back(link);
                            answer(link);
                        });
                    });
}

// A walsender that has heard nothing for long ends when somebody looks at it.
std::string Postgres::refusal_of(const Postgres& slave, const Conf& conf) const {
    if (phase_ != Phase::Up) return "it takes no connections";
    if (!data().slots.contains(conf.slot)) return "no such slot";
    for (const auto& link : links_) {
        if (world().now() - link->heard_above > kSenderTimeout) link->open_above = false;
        if (link->open_above && link->slot == conf.slot) return "the slot is active";
    }
    return why_no_stream(slave.data(), data());
}

void Postgres::accept(const std::shared_ptr<Link>& link) {
    receiver_ = link;
    link->heard_below = world().now();
    if (!received_.known()) received_ = Lsn(files().end().value / kSegment * kSegment);
    tell("streams from " + link->upstream->place_.name.value);
    place_.witness.begins_to_stream(*this, *link->upstream);
    probe_soon(milliseconds(5));
    answer_upstream(link);
}

// --- the upstream's end -----------------------------------------------------------------------

void Postgres::pump_all() {
    std::erase_if(links_, [](const auto& link) { return !link->open_above; });
    for (const auto& link : links_) pump(link);
}

void Postgres::pump(const std::shared_ptr<Link>& link) {
    // The slave says first from where.
    if (link->pumping || !link->open_above || !link->sent.known()) return;
    if (link->sent >= files().synced_end()) return;
    link->pumping = true;
    server_->after(place_.net.delay(), [this, link] { send_wal(link); });
}

void Postgres::send_wal(const std::shared_ptr<Link>& link) {
    link->pumping = false;
    if (!link->open_above) return;
    if (world().now() - link->heard_above > kSenderTimeout) {
        link->open_above = false;
        return;
    }
    if (!place_.net.open(place_.host, link->slave->place_.host)) {
        link->pumping = true;
        server_->after(kResend, [this, link] { send_wal(link); });
        return;
    }
    const auto& wal = files().wal;
    const auto from = wal.begin() + static_cast<std::ptrdiff_t>(files().count_until(link->sent));
    std::vector<WalRecord> records(from, wal.begin() + static_cast<std::ptrdiff_t>(files().synced));
    link->sent = files().synced_end();
    link->down->post([slave = link->slave, link, records = std::move(records),
                      history = files().history] { slave->receive(link, records, history); });
}

// --- the slave's end --------------------------------------------------------------------------

void Postgres::receive(const std::shared_ptr<Link>& link, const std::vector<WalRecord>& records,
                       const std::vector<HistoryEntry>& history) {
    if (link != receiver_ || !link->open_below) return;
    link->heard_below = world().now();
    if (place_.volume.full && !records.empty()) return ended("signal 6, PANIC: no space");
    for (const auto& record : records)
        if (record.end > files().end()) files().receive(record, history);
    if (place_.volume.stalled_since) return;  // told with the next status
    server_->after(world().between(std::chrono::microseconds(300), milliseconds(2)),
                   [this, link, count = files().wal.size()] {
                       files().synced =
                           std::max(files().synced, std::min(count, files().wal.size()));
                       replay();  // also when the stream has ended meanwhile
                       answer_upstream(link);
                   });
}

void Postgres::replay() {
    replayed_ = files().synced;
    if (files().synced_end() > received_) received_ = files().synced_end();
}

// The status message: what is flushed and replayed here.
void Postgres::answer_upstream(const std::shared_ptr<Link>& link) {
    if (link != receiver_) return;
    if (!place_.volume.stalled_since) files().synced = files().wal.size();
    replay();
    last_answer_ = world().now();
    pump_all();  // to slaves of our own
    place_.net.send(place_.host, link->upstream->place_.host,
                    [this, link, flushed = files().synced_end()] {
                        link->up->post([link, flushed, above = link->upstream, this] {
                            (void)this;
                            if (!link->open_above) return;
                            link->heard_above = above->world().now();
                            link->flushed = link->replayed = flushed;
                            if (!link->sent.known()) link->sent = flushed;
                            above->pump(link);
                            above->acknowledge();
                        });
                    });
}

// A keepalive that wants an answer.
void Postgres::ask_upstream(const std::shared_ptr<Link>& link) {
    const HostId here = place_.host, there = link->upstream->place_.host;
    place_.net.send(here, there, [this, link, here, there] {
        link->up->post([this, link, here, there] {
            if (!link->open_above) return;
            link->heard_above = world().now();
            place_.net.send(there, here, [this, link] {
                link->down->post([this, link] { link->heard_below = world().now(); });
            });
        });
    });
}

// restore_command comes before pg_wal: what it serves replaces what is there, older or not.
void Postgres::restore() {
    server_->after(world().between(milliseconds(20), milliseconds(150)), [this] {
        if (!recovery_ || rescued_.empty()) return;
        if (rescued_.back().end < files().end())
            files().cut(files().count_until(rescued_.back().end));
        for (const auto& record : rescued_)
            if (record.end > files().end()) files().receive(record, files().history);
        rescued_.clear();
        files().synced = replayed_ = files().wal.size();
        tell("replayed rescued WAL to " + files().end().str());
        probe_soon(milliseconds(2));
    });
}

}  // namespace matriarch::sim
