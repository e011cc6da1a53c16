#include <cstdlib>

#include "kernels/registry.h"

namespace eg {

static int cpu_level() {
#if defined(__x86_64__) && defined(__GNUC__)
  __builtin_cpu_init();
  const bool v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
  const bool v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("bmi2");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                  __builtin_cpu_supports("avx512cd");
  return v4 ? 4 : v3 ? 3 : v2 ? 2 : 0;
#else
  return 0;
#endif
}

// EAGERGRAD_ISA: "2", "3", "4" or "v2", "v3", "v4". It can only lower the level.
int isa_level() {
  static const int level = [] {
    const int cpu = cpu_level();
    const char* wish = std::getenv("EAGERGRAD_ISA");
    if (!wish || !*wish) return cpu;
    const int asked = std::atoi(*wish == 'v' ? wish + 1 : wish);
    return asked < 2 || asked > cpu ? cpu : asked;
  }();
  return level;
}

}  // namespace eg
