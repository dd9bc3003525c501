// Memory of the agent itself: kept small, since there is one in every PostgreSQL container.
//
// Any thread; no effect but on the resident set.
#pragma once

#include "model/ids.h"

namespace matriarch::agent {

// One arena for all threads: each would else get megabytes of its own. Before any thread.
void limit_arenas();

// Gives back the program text that only the start needed (TLS and libpq set-up, mapped 64 KB at a
// time by the kernel's fault-around). It is mapped again from the page cache where it is used.
void release_start_up_pages();

// 0 if the kernel does not say.
Bytes resident_memory();

}  // namespace matriarch::agent
