// The memory of this process: kept small, since there is an agent in every PostgreSQL container,
// and an operator's caches grow with what it looks after.
//
// Any thread, unless said otherwise; no effect but on the resident set.
#pragma once

#include <cstdint>

namespace matriarch {

// glibc gives each thread an arena of megabytes otherwise. Before any thread.
void limit_arenas(int count);

// Gives back to the system what is free in the heap, and the program text that only the start
// needed (TLS and libpq set-up, mapped 64 KB at a time by the kernel's fault-around), which is
// mapped again from the page cache where it is used.
void give_back_memory();

// In bytes; 0 if the kernel does not say.
std::uint64_t resident_memory();

}  // namespace matriarch
