// Memory that others know by its address (readers of the buffer protocol, DLPack's among them) stays where it is.
#pragma once

#include "core/storage.h"

namespace eg {

// Counted: as many as there are readers. Storage::resize refuses to move what is pinned.
void pin(const Storage& storage);
void unpin(const Storage& storage);

}  // namespace eg
