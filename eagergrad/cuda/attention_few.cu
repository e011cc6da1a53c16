// Attention of few queries, of one while a text is written, say: reading keys and values is the work. Each block takes a part of the
// keys, for all heads that share them. Eight lanes take a key at a time and keep a softmax of their own in registers; these are joined
// in order, those of a block in shared memory, those of the blocks by attention_join. Dao et al. (2023), Flash-Decoding.
#include "attention.cuh"

namespace eg {

constexpr int kThreads = 128, kTeam = 8, kTeams = kThreads / kTeam;

// A row is a query of one of the heads that share the keys: [batch, heads, queries] in memory.
__device__ __forceinline__ int64_t rows_of_keys(const AttentionShape& s) {
  return s.heads / s.kv_heads * s.queries;
}

// What a softmax that was counted from `before` is to be multiplied with to be counted from `most`.
template <class C>
__device__ __forceinline__ C moved(C before, C most) {
  return most == C(-INFINITY) ? C(1) : vocabulary::exp(before - most);
}

// The softmaxes of the parts of a row, and a column of its result: the exponentials' total and the sum of values, both counted from
// the greatest score, `top`.
template <class C>
struct Parts {
  const C *top, *total, *sum;  // of the first part
  int64_t next, next_sum;      // from one to the next
  int count;

  struct Joined {
    C top, total, sum;
  };
  __device__ __forceinline__ Joined join() const {
    Joined all = {C(-INFINITY), C(0), C(0)};
    for (int i = 0; i < count; ++i) {
      const C x = top[i * next];
      all.top = x > all.top ? x : all.top;
    }
    for (int i = 0; i < count; ++i) {
      const C factor = moved(top[i * next], all.top);
      all.total += factor * total[i * next];
      all.sum += factor * sum[i * next_sum];
    }
    return all;
  }
};

template <class T>
__device__ __forceinline__ void put_result(const AttentionShape& s, const HeadMatrix& out,
                                           compute_t<T>* lse, int64_t row, int64_t column,
                                           const typename Parts<compute_t<T>>::Joined& x) {
  using C = compute_t<T>;
  const int64_t head = row / s.queries;
  head_rows<T>(out, head / s.heads, head % s.heads, s.queries)
      .data[row % s.queries * out.row + column] = cast<T>(x.total == C(0) ? C(0) : x.sum / x.total);
  if (lse && column == 0)
    lse[row] = x.total == C(0) ? C(INFINITY) : x.top + vocabulary::log(x.total);
}

// R rows a block, E columns a lane. Blocks: (row sets x batch x kv_heads) x parts of part_keys keys. With several parts their softmaxes
// go to tops and totals [parts, rows] and sums [parts, rows, value_width].
template <class T, int E, int R>
__global__ void __launch_bounds__(kThreads)
    attention_few(AttentionShape s, AttentionMask mask, HeadMatrix q, HeadMatrix k, HeadMatrix v,
                  int part_keys, compute_t<T>* tops, compute_t<T>* totals, compute_t<T>* sums,
                  HeadMatrix out, compute_t<T>* lse) {
  using C = compute_t<T>;
  constexpr int kRun = Rows<T>::kRun, kRuns = E / kRun;
  // Keys of a team that are on their way at a time, and values.
  constexpr int kNumbers = 128 / int(sizeof(C)), kAhead = kNumbers > E ? kNumbers / E : 1;
  // Fours of a lane's columns, those of neighbouring lanes beside each other.
  struct Shared {
    Four<C> query[R][E / 4][kTeam], sum[kTeams][R][E / 4][kTeam];
    C top[kTeams][R], total[kTeams][R];
  };
  __shared__ Shared shared;
  const int team = int(threadIdx.x) / kTeam, lane = int(threadIdx.x) % kTeam, width = int(s.width),
            value_width = int(s.value_width);
  const int64_t rows = rows_of_keys(s), sets = (rows + R - 1) / R, entry = blockIdx.x / sets,
                b = entry / s.kv_heads, kv = entry % s.kv_heads, first = blockIdx.x % sets * R;
  const int begin = int(blockIdx.y) * part_keys,
            seen = Scores<C>(s, mask, b, 0).seen(int(s.queries)),
            end = begin + part_keys < seen ? begin + part_keys : seen;
  const Rows<T> keys = head_rows<T>(k, b, kv, end), values = head_rows<T>(v, b, kv, end);
  const auto column = [&](int run) { return (run * kTeam + lane) * kRun; };
  const auto head_of = [&](int r) { return kv * (s.heads / s.kv_heads) + (first + r) / s.queries; };
  const auto query_of = [&](int r) { return int((first + r) % s.queries); };

  if (team < R && first + team < rows) {
    const Rows<T> queries = head_rows<T>(q, b, head_of(team), s.queries);
#pragma unroll
    for (int u = 0; u < kRuns; ++u) {
      const Run<T> run = queries.read(query_of(team), column(u), width);
#pragma unroll
      for (int e = 0; e < kRun; e += 4) {
        const Four<C> four = {cast<C>(run.at[e]), cast<C>(run.at[e + 1]), cast<C>(run.at[e + 2]),
                              cast<C>(run.at[e + 3])};
        shared.query[team][(u * kRun + e) / 4][lane] = four;
      }
    }
  }
  __syncthreads();
  C top[R], total[R], sum[R][E] = {};
#pragma unroll
  for (int r = 0; r < R; ++r) top[r] = C(-INFINITY), total[r] = C(0);

  for (int k0 = begin + team; k0 - team < end; k0 += kTeams * kAhead) {
    Run<T> key[kAhead][kRuns], value[kAhead][kRuns];
#pragma unroll
    for (int a = 0; a < kAhead; ++a)
#pragma unroll
      for (int u = 0; u < kRuns; ++u) {
        key[a][u] = keys.read(k0 + a * kTeams, column(u), width);
        value[a][u] = values.read(k0 + a * kTeams, column(u), value_width);
      }
#pragma unroll
    for (int r = 0; r < R; ++r) {
      if (first + r >= rows) break;
      const Scores<C> scores(s, mask, b, head_of(r));
      C p[kAhead], most = top[r];
#pragma unroll
      for (int a = 0; a < kAhead; ++a) {
        C dot = C(0);
#pragma unroll
        for (int i = 0; i < E; i += 4) {
          const Four<C> x = shared.query[r][i / 4][lane];
#pragma unroll
          for (int e = 0; e < 4; ++e) dot += x.at[e] * cast<C>(key[a][i / kRun].at[i % kRun + e]);
        }
        for (int other = 1; other < kTeam; other *= 2) dot += __shfl_xor_sync(~0u, dot, other);
        const int at = k0 + a * kTeams;
        p[a] = at < end ? scores.at(dot, query_of(r), at) : C(-INFINITY);
        most = p[a] > most ? p[a] : most;
      }
      const C shrink = moved(top[r], most), shift = most == C(-INFINITY) ? C(0) : most;
      top[r] = most;
      total[r] *= shrink;
#pragma unroll
      for (int i = 0; i < E; ++i) sum[r][i] *= shrink;
#pragma unroll
      for (int a = 0; a < kAhead; ++a) {
        p[a] = vocabulary::exp(p[a] - shift);
        total[r] += p[a];
#pragma unroll
        for (int i = 0; i < E; ++i) sum[r][i] += p[a] * cast<C>(value[a][i / kRun].at[i % kRun]);
      }
    }
  }

#pragma unroll
  for (int r = 0; r < R; ++r) {
    if (lane == 0) shared.top[team][r] = top[r], shared.total[team][r] = total[r];
#pragma unroll
    for (int i = 0; i < E; i += 4) {
      const Four<C> four = {sum[r][i], sum[r][i + 1], sum[r][i + 2], sum[r][i + 3]};
      shared.sum[team][r][i / 4][lane] = four;
    }
  }
  __syncthreads();
  // By the places in shared memory.
  for (int i = int(threadIdx.x); i < R * E * kTeam; i += kThreads) {
    const int r = i / (E * kTeam), place = i % (E * kTeam), of_lane = place / 4 % kTeam,
              e = place / (4 * kTeam) * 4 + place % 4,
              c = (e / kRun * kTeam + of_lane) * kRun + e % kRun;
    if (first + r >= rows || c >= value_width) continue;
    const Parts<C> parts = {&shared.top[0][r],
                            &shared.total[0][r],
                            &shared.sum[0][r][e / 4][of_lane].at[e % 4],
                            R,
                            R * E * kTeam,
                            kTeams};
    const auto all = parts.join();
    const int64_t row = entry * rows + first + r;
    if (gridDim.y == 1) {
      put_result<T>(s, out, lse, row, c, all);
      continue;
    }
    const int64_t to = blockIdx.y * (s.batch * s.heads * s.queries) + row;
    sums[to * value_width + c] = all.sum;
    if (c == 0) tops[to] = all.top, totals[to] = all.total;
  }
}

// An element of the result a thread.
template <class T>
__global__ void attention_join(AttentionShape s, int count, const compute_t<T>* tops,
                               const compute_t<T>* totals, const compute_t<T>* sums, HeadMatrix out,
                               compute_t<T>* lse) {
  const int64_t rows = s.batch * s.heads * s.queries, n = rows * s.value_width;
  for (EG_ELEMENTS(i, n)) {
    const int64_t row = i / s.value_width;
    const Parts<compute_t<T>> parts = {tops + row, totals + row, sums + i, rows, n, count};
    put_result<T>(s, out, lse, row, i % s.value_width, parts.join());
  }
}

}  // namespace eg
