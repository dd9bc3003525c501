// check: can this operator do its work here? For `helm test` and for people.
#pragma once

#include "base/clock.h"
#include "kube/credentials.h"
#include "operator/options.h"

namespace matriarch::op {

// Prints a line per question; 0 if all are answered with yes.
int check(const Options& options, kube::CredentialSource& credentials, const Clock& clock);

}  // namespace matriarch::op
