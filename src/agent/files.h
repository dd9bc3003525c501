// Small files, written so that a crash leaves the old content or the new one, never a mixture.
//
// Blocking; any thread. Errors name the path.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace matriarch::agent {

// NotFound if there is none. At most `limit` bytes: our files are small.
Result<std::string> read_file(const std::string& path, std::size_t limit = 16u << 20);

enum class Durable { No, Yes };
// Temporary file, (fsync,) rename(, fsync of the folder).
Status write_file(const std::string& path, std::string_view content, Durable durable,
                  mode_t mode = 0600);

bool exists(const std::string& path);
Status make_directory(const std::string& path, mode_t mode);   // and its parents
std::vector<std::string> names_in(const std::string& folder);  // none if it can't be read
Status sync_directory(const std::string& path);
// Removes a file or a whole tree; nothing there is a success. Does not follow links.
Status remove_tree(const std::string& path);
// rename and fsync of the folder.
Status move_path(const std::string& from, const std::string& to);

}  // namespace matriarch::agent
