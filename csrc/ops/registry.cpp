#include "ops/registry.h"

namespace eg {

std::vector<OpEntry>& op_entries() {
  static auto& entries = *new std::vector<OpEntry>;
  return entries;
}

}  // namespace eg
