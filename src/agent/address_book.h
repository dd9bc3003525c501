// AddressBook: host names, looked up before they are needed and kept when DNS fails.
//
// A master that lost the operator asks its slaves for promises, perhaps while DNS is away, too; and
// a look-up may take longer than a mandate. So a thread of its own looks expected names up now and
// then, and find() answers from memory, with the last good answer. Safe from any thread.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

namespace matriarch::agent {

class AddressBook {
  public:
    AddressBook();
    ~AddressBook();
    AddressBook(const AddressBook&) = delete;
    AddressBook& operator=(const AddressBook&) = delete;

    // These, beside those expected before under other `topic`s.
    void expect(const std::string& topic, std::set<std::string> hosts);
    // An address; a text that is one already is its own.
    std::optional<std::string> find(const std::string& host) const;

  private:
    void run();
    std::set<std::string> wanted() const;

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::string, std::set<std::string>> topics_;  // guarded by mutex_, like all below
    std::map<std::string, std::string> known_;
    bool stop_ = false, news_ = false;
    std::thread thread_;
};

}  // namespace matriarch::agent
