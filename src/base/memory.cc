#include "base/memory.h"

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

namespace matriarch {

void limit_arenas(int count) {
    mallopt(M_ARENA_MAX, count);
    mallopt(M_TRIM_THRESHOLD, 128 * 1024);
}

void give_back_memory() {
    malloc_trim(0);
    FILE* maps = fopen("/proc/self/maps", "re");
    if (maps == nullptr) return;
    char line[512];
    while (fgets(line, sizeof line, maps) != nullptr) {
        unsigned long begin = 0, end = 0;
        char rights[5] = "";
        // Executable file mappings only: they are never written to, so nothing private is lost.
        if (sscanf(line, "%lx-%lx %4s", &begin, &end, rights) != 3) continue;
        if (strcmp(rights, "r-xp") != 0 || strchr(line, '/') == nullptr) continue;
        madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
    }
    fclose(maps);
}

std::uint64_t resident_memory() {
    long total = 0, resident = 0;
    if (FILE* file = fopen("/proc/self/statm", "re")) {
        if (fscanf(file, "%ld %ld", &total, &resident) != 2) resident = 0;
        fclose(file);
    }
    return static_cast<std::uint64_t>(resident) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace matriarch
