#include "postgres/binaries.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

namespace matriarch::postgres {
namespace {

bool has_postgres(const std::string& dir) {
    return access((dir + "/postgres").c_str(), X_OK) == 0 &&
           access((dir + "/initdb").c_str(), X_OK) == 0;
}

// Sub-folders of `base` whose name begins with `prefix` and a number, the highest first.
std::vector<std::string> versions(const std::string& base, const std::string& prefix) {
    std::vector<std::pair<int, std::string>> found;
    if (DIR* dir = opendir(base.c_str())) {
        while (const dirent* entry = readdir(dir)) {
            const std::string name = entry->d_name;
            if (name.rfind(prefix, 0) != 0) continue;
            const int major = std::atoi(name.c_str() + prefix.size());
            if (major > 0) found.emplace_back(major, base + "/" + name + "/bin");
        }
        closedir(dir);
    }
    std::sort(found.rbegin(), found.rend());
    std::vector<std::string> out;
    for (auto& [major, path] : found) out.push_back(std::move(path));
    return out;
}

}  // namespace

Result<Binaries> find_binaries(const std::string& given, const std::string& path_variable) {
    std::vector<std::string> places;
    if (!given.empty()) {
        places.push_back(given);
    } else {
        std::stringstream path(path_variable);
        for (std::string dir; std::getline(path, dir, ':');)
            if (!dir.empty()) places.push_back(dir);
        for (auto& dir : versions("/usr/lib/postgresql", "")) places.push_back(dir);
        for (auto& dir : versions("/usr", "pgsql-")) places.push_back(dir);
        for (const char* dir :
             {"/usr/local/bin", "/usr/local/pgsql/bin", "/opt/bitnami/postgresql/bin", "/usr/bin"})
            places.emplace_back(dir);
        for (auto& dir : versions("/usr/libexec", "postgresql")) {
            dir.resize(dir.size() - 4);  // Alpine keeps them without a bin folder
            places.push_back(dir);
        }
    }
    std::string looked;
    for (const auto& dir : places) {
        if (has_postgres(dir)) return Binaries{dir, 0};
        looked += (looked.empty() ? "" : ", ") + dir;
    }
    return make_error(ErrorKind::NotFound, "this image has no PostgreSQL server programs",
                      "looked in " + looked);
}

int parse_version_line(const std::string& line) {
    const auto at = line.find("(PostgreSQL) ");
    return at == std::string::npos ? 0 : std::atoi(line.c_str() + at + 13);
}

}  // namespace matriarch::postgres
