#include "core/generator.h"

namespace eg {

Generator& default_generator() {
  static Ref<Generator>& instance = *new Ref<Generator>(new Generator(67280421310721));
  return *instance;
}

}  // namespace eg
