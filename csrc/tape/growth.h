// Note [Graphs that grow]. `total += loss` keeps the graph of every step alive: backward has freed what its nodes saved, yet the
// nodes, and all that Python holds by them, stay. A thread counts its live nodes, and each optimizer step looks at the count. If
// it reaches a new height four windows in a row, the nodes made in the next 64 steps are noted. Only what cannot be walked any
// more proves a mistake: nodes whose saved values a backward has freed, or somebody has overwritten (the parameters, an
// optimizer). If most of the steps still have such nodes, and what is alive grew by them, the tensors at
// the ends of those graphs are named. A program that will use its graph later has none, however long it grows.
#pragma once

#include "tape/node.h"

namespace eg {

extern __thread int64_t live_nodes EG_TLS_MODEL;  // made by this thread, less those it destroyed
extern __thread bool noting_nodes EG_TLS_MODEL;
void note_node(Node& node) noexcept;
void forget_node(Node& node) noexcept;

// Off: optimizer steps are not looked at. On: they are, from the start.
void watch_growth(bool on);

// Called after each optimizer step; true when it is time to ask for the keepers.
bool count_optimizer_step();

// Tensors of one line that keep graphs of earlier steps alive.
struct Keeper {
  Site site;
  std::string title;  // of what made them
  Dims sizes;         // of the first of them
  int64_t tensors = 0;
  int64_t steps = 0;  // how many steps' graphs they keep, of `kNotedSteps`
};
constexpr int kNotedSteps = 64;

// One for each line; none if nothing is wrong. Ends the noting.
std::vector<Keeper> graph_keepers();

}  // namespace eg
