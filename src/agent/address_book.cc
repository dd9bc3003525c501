#include "agent/address_book.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include <chrono>

namespace matriarch::agent {
namespace {

// A pod keeps its address; another pod under the same name is no member until the set says so.
constexpr std::chrono::seconds kLookUpEvery{15}, kLookUpFailed{1};

bool is_address(const std::string& text) {
    unsigned char bytes[sizeof(in6_addr)];
    return inet_pton(AF_INET, text.c_str(), bytes) == 1 ||
           inet_pton(AF_INET6, text.c_str(), bytes) == 1;
}

std::optional<std::string> look_up(const std::string& host) {
    addrinfo hints{}, *found = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0 || found == nullptr) return {};
    char text[NI_MAXHOST] = "";
    const int got = getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, nullptr, 0,
                                NI_NUMERICHOST);
    freeaddrinfo(found);
    if (got != 0) return {};
    return std::string(text);
}

}  // namespace

AddressBook::AddressBook() : thread_([this] { run(); }) {}

AddressBook::~AddressBook() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void AddressBook::expect(const std::string& topic, std::set<std::string> hosts) {
    const std::lock_guard lock(mutex_);
    auto& former = topics_[topic];
    if (former == hosts) return;
    former = std::move(hosts);
    news_ = true;
    changed_.notify_all();
}

std::optional<std::string> AddressBook::find(const std::string& host) const {
    if (is_address(host)) return host;
    const std::lock_guard lock(mutex_);
    const auto found = known_.find(host);
    return found == known_.end() ? std::nullopt : std::optional(found->second);
}

std::set<std::string> AddressBook::wanted() const {
    std::set<std::string> out;
    for (const auto& [topic, hosts] : topics_)
        for (const auto& host : hosts)
            if (!is_address(host)) out.insert(host);
    return out;
}

void AddressBook::run() {
    std::unique_lock lock(mutex_);
    while (!stop_) {
        news_ = false;
        bool failed = false;
        for (const auto& host : wanted()) {
            lock.unlock();
            const auto address = look_up(host);
            lock.lock();
            if (stop_) return;
            if (address) known_[host] = *address;
            failed = failed || !address;
        }
        changed_.wait_for(lock, failed ? kLookUpFailed : kLookUpEvery,
                          [this] { return stop_ || news_; });
    }
}

}  // namespace matriarch::agent
