// Rig: a few PostgreSQL instances that a scenario moves about. The model and the real PostgreSQL
// each are one; what a scenario sees must be the same on both.
#pragma once

#include <memory>
#include <string>

namespace matriarch::sim {

class Rig {
  public:
    virtual ~Rig() = default;
    virtual void initialize(const std::string& name) = 0;
    // Copies `from`, which serves, into an empty data directory; keeps a slot there.
    virtual void clone(const std::string& name, const std::string& from) = 0;
    // Of an instance whose PostgreSQL does not run, from a master.
    virtual void rewind(const std::string& name, const std::string& from) = 0;
    virtual void start_as_master(const std::string& name) = 0;
    // With a slot of its own at the upstream.
    virtual void start_as_slave(const std::string& name, const std::string& upstream) = 0;
    virtual void stop(const std::string& name) = 0;  // cleanly
    virtual void kill(const std::string& name) = 0;  // every process at once
    // The numbers up to this one are taken.
    virtual void reserve(const std::string& name, int timeline) = 0;
    virtual void promote(const std::string& name) = 0;  // and CHECKPOINT
    virtual void write(const std::string& name, int rows) = 0;

    virtual int rows(const std::string& name) = 0;
    virtual int timeline(const std::string& name) = 0;
    // It streams, or begins to within seconds, and has then all that its upstream has.
    virtual bool follows(const std::string& name, const std::string& upstream) = 0;
};

std::unique_ptr<Rig> make_model_rig();
std::unique_ptr<Rig> make_real_rig();  // PostgreSQL 15 of Debian, in a folder of its own

}  // namespace matriarch::sim
