#include "ops/registry.h"

namespace eg {

std::vector<OpEntry>& op_entries() {
  static auto& entries = *new std::vector<OpEntry>;
  return entries;
}

std::vector<OpWait>& op_waits() {
  static auto& waits = *new std::vector<OpWait>;
  return waits;
}

}  // namespace eg
