#include "agent/install.h"

#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "agent/files.h"

namespace matriarch::agent {
namespace {

constexpr std::size_t kLargestFile = 256u << 20;

std::string base_name(const std::string& path) {
    return path.substr(path.rfind('/') + 1);
}

bool is_library(const std::string& path) {
    const auto name = base_name(path);
    return name.find(".so") != std::string::npos;
}

bool is_loader(const std::string& path) {
    return base_name(path).starts_with("ld-");
}

// Files mapped executable: the program, its libraries, the loader.
std::set<std::string> mapped_files() {
    std::set<std::string> out;
    const auto maps = read_file("/proc/self/maps");
    if (!maps) return out;
    std::stringstream in(*maps);
    for (std::string line; std::getline(in, line);) {
        const auto slash = line.find('/');
        if (slash != std::string::npos && line.find(" r-xp ") != std::string::npos)
            out.insert(line.substr(slash));
    }
    return out;
}

// The libraries by the names that programs ask for: maps shows what their links lead to.
std::set<std::string> loaded_libraries() {
    std::set<std::string> out;
    dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* data) {
            const std::string path = info->dlpi_name == nullptr ? "" : info->dlpi_name;
            if (path.starts_with("/")) static_cast<std::set<std::string>*>(data)->insert(path);
            return 0;
        },
        &out);
    return out;
}

std::string program_path() {
    // Under an explicit loader /proc/self/exe is the loader; the program is what is no library.
    for (const auto& path : mapped_files())
        if (!is_library(path)) return path;
    return "/proc/self/exe";
}

Status copy_program(const std::string& from, const std::string& to) {
    auto content = read_file(from, kLargestFile);
    if (!content) return content.error();
    if (const auto there = read_file(to, kLargestFile); there && *there == *content) return {};
    return write_file(to, *content, Durable::No, 0755);
}

}  // namespace

Status install(const std::string& directory, int uid, int gid) {
    for (const char* folder : {"/bin", "/lib", "/etc"})
        if (auto made = make_directory(directory + folder, 0755); !made) return made;
    const std::string program = program_path();
    if (auto put = copy_program(program, directory + "/bin/" + base_name(program)); !put)
        return put;
    for (const auto& path : loaded_libraries()) {
        if (!is_library(path)) continue;
        if (auto put = copy_program(path, directory + "/lib/" + base_name(path)); !put) return put;
    }
    // The loader also gets a fixed name, for the pod's command.
    for (const auto& path : mapped_files())
        if (is_loader(path) || base_name(path) == "ld.so")
            if (auto put = copy_program(path, directory + "/lib/ld.so"); !put) return put;
    const auto ids = std::to_string(uid) + ":" + std::to_string(gid);
    const std::string passwd = "root:x:0:0:root:/root:/sbin/nologin\npostgres:x:" + ids +
                               ":PostgreSQL:/var/lib/matriarch:/sbin/nologin\n";
    const std::string group = "root:x:0:\npostgres:x:" + std::to_string(gid) + ":\n";
    if (auto put = write_file(directory + "/etc/passwd", passwd, Durable::No, 0644); !put)
        return put;
    return write_file(directory + "/etc/group", group, Durable::No, 0644);
}

std::vector<std::string> own_command() {
    char exe[4096];
    const auto size = readlink("/proc/self/exe", exe, sizeof exe - 1);
    const std::string running(exe, size > 0 ? static_cast<std::size_t>(size) : 0);
    const std::string program = program_path();
    if (!is_loader(running) && base_name(running) != "ld.so") return {running};
    const auto libraries = running.substr(0, running.rfind('/'));
    return {running, "--library-path", libraries, program};
}

std::string user_name(const std::string& passwd, unsigned uid) {
    std::stringstream in(passwd);
    for (std::string line; std::getline(in, line);) {
        const auto name_end = line.find(':');
        const auto uid_begin = line.find(':', name_end + 1);
        if (name_end == std::string::npos || uid_begin == std::string::npos) continue;
        const auto text = line.substr(uid_begin + 1, line.find(':', uid_begin + 1) - uid_begin - 1);
        if (text == std::to_string(uid)) return line.substr(0, name_end);
    }
    return {};
}

}  // namespace matriarch::agent
