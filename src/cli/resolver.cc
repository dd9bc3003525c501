#include "cli/resolver.h"

#include <netdb.h>
#include <sys/socket.h>

#include <condition_variable>
#include <mutex>
#include <thread>

namespace matriarch::cli {
namespace {

std::vector<std::string> look_up(const std::string& name) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (getaddrinfo(name.c_str(), nullptr, &hints, &found) != 0) return {};
    std::vector<std::string> addresses;
    for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
        char text[NI_MAXHOST];
        if (getnameinfo(each->ai_addr, each->ai_addrlen, text, sizeof text, nullptr, 0,
                        NI_NUMERICHOST) == 0)
            addresses.emplace_back(text);
    }
    freeaddrinfo(found);
    return addresses;
}

}  // namespace

struct Resolver::Entry {
    std::string name;
    std::mutex mutex;
    std::condition_variable changed;
    bool wanted = true;
    bool over = false;
    std::vector<std::string> addresses;

    void serve() {
        std::unique_lock lock(mutex);
        for (;;) {
            changed.wait(lock, [this] { return wanted || over; });
            if (over) return;
            lock.unlock();
            std::vector<std::string> answer = look_up(name);
            lock.lock();
            wanted = false;
            // A failed lookup does not make a good old address worse.
            if (!answer.empty()) addresses = std::move(answer);
        }
    }
};

Resolver::Resolver(const std::vector<Host>& hosts) {
    for (const Host& host : hosts) {
        auto entry = std::make_shared<Entry>();
        entry->name = host.name;
        entries_.push_back(entry);
        if (host.is_socket() || !host.address.empty()) {
            entry->addresses = {host.address};
        } else {
            std::thread([entry] { entry->serve(); }).detach();
        }
    }
}

Resolver::~Resolver() {
    for (const auto& entry : entries_) {
        const std::lock_guard lock(entry->mutex);
        entry->over = true;
        entry->changed.notify_all();
    }
}

std::vector<std::string> Resolver::addresses(std::size_t i) {
    const std::lock_guard lock(entries_[i]->mutex);
    return entries_[i]->addresses;
}

void Resolver::refresh(std::size_t i) {
    const std::lock_guard lock(entries_[i]->mutex);
    entries_[i]->wanted = true;
    entries_[i]->changed.notify_all();
}

}  // namespace matriarch::cli
