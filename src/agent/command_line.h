// What the programs that are put into a foreign image have in common on their command lines.
//
// For their mains alone, which are the only ones to include CLI11.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <utility>

#include "agent/install.h"
#include "telemetry/log.h"

namespace matriarch::agent {

// --log-format and --log-level. A word that is not known leaves the default.
class LogFlags {
  public:
    explicit LogFlags(CLI::App& app) {
        app.add_option("--log-format", format_, "json or console")->envname("MATRIARCH_LOG_FORMAT");
        app.add_option("--log-level", level_, "debug, info, warn or error")
            ->envname("MATRIARCH_LOG_LEVEL");
    }
    void apply() const {
        telemetry::log::Options logging;
        const auto format = telemetry::log::parse_format(format_);
        const auto level = telemetry::log::parse_level(level_);
        if (format) logging.format = *format;
        if (level) logging.level = *level;
        telemetry::log::configure(std::move(logging));
    }

  private:
    std::string format_ = "json", level_ = "info";
};

// install DIR --uid --gid
class InstallCommand {
  public:
    // `program` and `container` as people call them.
    InstallCommand(CLI::App& app, std::string program, const std::string& container)
        : program_(std::move(program)),
          command_(app.add_subcommand("install",
                                      "Copies the " + program_ + " and its libraries into DIR")) {
        command_->add_option("DIR", directory_, "where to")->required();
        command_->add_option("--uid", uid_, "user id of the " + container + " container");
        command_->add_option("--gid", gid_, "group id of the " + container + " container");
    }
    explicit operator bool() const { return command_->parsed(); }
    // The exit code.
    int run() const {
        const auto done = install(directory_, uid_, gid_);
        if (!done) telemetry::log::error("can't install the " + program_, done.error());
        return done ? 0 : 1;
    }

  private:
    const std::string program_;
    CLI::App* command_;
    std::string directory_;
    int uid_ = 999, gid_ = 999;
};

}  // namespace matriarch::agent
