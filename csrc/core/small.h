// Small containers of the hot path: an intrusive reference, and a vector that keeps a few items inline.
#pragma once

#include <algorithm>
#include <atomic>
#include <initializer_list>
#include <new>
#include <ostream>
#include <utility>
#include <vector>

#include "core/common.h"

namespace eg {

// Base of everything shared. Counts are atomic: kernels and the engine may drop references without the GIL.
class Counted {
 public:
  Counted() = default;
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  virtual ~Counted() = default;

  // Small objects come from lists that a thread has for itself (core/objects.cpp).
  static void* operator new(size_t bytes);
  static void* operator new(size_t, void* place) { return place; }
  static void operator delete(void* p, size_t bytes) noexcept;
  static void operator delete(void*, void*) noexcept {}

  void retain() const { refs_.fetch_add(1, std::memory_order_relaxed); }
  // The last holder needs no atomic subtraction: nobody else is left who could copy the reference.
  void release() const {
    if (refs_.load(std::memory_order_acquire) == 1 ||
        refs_.fetch_sub(1, std::memory_order_acq_rel) == 1)
      const_cast<Counted*>(this)->destroy();
  }
  // The first reference to a new object, which nobody else knows yet.
  void adopt() const { refs_.store(1, std::memory_order_relaxed); }
  uint32_t use_count() const { return refs_.load(std::memory_order_acquire); }

 protected:
  virtual void destroy() { delete this; }

 private:
  mutable std::atomic<uint32_t> refs_{0};
};

template <class T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}  // NOLINT
  Ref(T* p) : p_(p) {
    if (p_) p_->retain();
  }  // NOLINT
  // The only reference to an object just made: Ref<Node>::adopt(new ...).
  static Ref adopt(T* made) {
    Ref r;
    made->adopt();
    r.p_ = made;
    return r;
  }
  Ref(const Ref& o) : p_(o.p_) {
    if (p_) p_->retain();
  }
  Ref(Ref&& o) noexcept : p_(o.p_) { o.p_ = nullptr; }
  template <class U, class = std::enable_if_t<std::is_convertible_v<U*, T*>>>
  Ref(const Ref<U>& o) : Ref(static_cast<T*>(o.get())) {}  // NOLINT
  ~Ref() {
    if (p_) p_->release();
  }
  Ref& operator=(Ref o) noexcept {
    std::swap(p_, o.p_);
    return *this;
  }
  T* get() const { return p_; }
  T* operator->() const { return p_; }
  T& operator*() const { return *p_; }
  explicit operator bool() const { return p_ != nullptr; }
  bool operator==(const Ref& o) const { return p_ == o.p_; }
  bool operator!=(const Ref& o) const { return p_ != o.p_; }
  void reset() { *this = Ref(); }
  T* detach() { return std::exchange(p_, nullptr); }

 private:
  T* p_ = nullptr;
};

// A vector with room for N items inside the object.
template <class T, uint32_t N>
class SmallVec {
 public:
  SmallVec() = default;
  explicit SmallVec(size_t n) { resize(n); }
  SmallVec(size_t n, const T& value) {
    reserve(n);
    for (size_t i = 0; i < n; ++i) new (data_ + i) T(value);
    size_ = static_cast<uint32_t>(n);
  }
  SmallVec(std::initializer_list<T> items) { append(items.begin(), items.end()); }
  template <class It, class = decltype(*std::declval<It>())>
  SmallVec(It first, It last) {
    append(first, last);
  }
  SmallVec(const SmallVec& o) {
    if (kPlain && o.is_inline())
      copy_inline(o);
    else
      append(o.begin(), o.end());
  }
  SmallVec(SmallVec&& o) noexcept { take(o); }
  ~SmallVec() { destroy(); }
  SmallVec& operator=(const SmallVec& o) {
    if (this != &o) {
      clear();
      if (kPlain && is_inline() && o.is_inline())
        copy_inline(o);
      else
        append(o.begin(), o.end());
    }
    return *this;
  }
  SmallVec& operator=(SmallVec&& o) noexcept {
    if (this != &o) {
      destroy();
      take(o);
    }
    return *this;
  }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  T& front() { return data_[0]; }
  T& back() { return data_[size_ - 1]; }
  const T& front() const { return data_[0]; }
  const T& back() const { return data_[size_ - 1]; }

  void reserve(size_t n) {
    if (n <= capacity_) return;
    T* grown = static_cast<T*>(::operator new(n * sizeof(T)));
    for (uint32_t i = 0; i < size_; ++i) {
      new (grown + i) T(std::move(data_[i]));
      data_[i].~T();
    }
    if (!is_inline()) ::operator delete(data_);
    data_ = grown;
    capacity_ = static_cast<uint32_t>(n);
  }
  void resize(size_t n) {
    reserve(n);
    while (size_ > n) data_[--size_].~T();
    while (size_ < n) new (data_ + size_++) T();
  }
  void push_back(T value) {
    if (size_ == capacity_) reserve(size_t(capacity_) * 2 + 2);
    new (data_ + size_++) T(std::move(value));
  }
  void pop_back() { data_[--size_].~T(); }
  void clear() { resize(0); }
  void insert(size_t at, T value) {
    push_back(std::move(value));
    std::rotate(data_ + at, data_ + size_ - 1, data_ + size_);
  }
  void erase(size_t at) {
    std::move(data_ + at + 1, data_ + size_, data_ + at);
    pop_back();
  }
  template <class It>
  void append(It first, It last) {
    if constexpr (std::is_pointer_v<It> && std::is_trivially_copyable_v<T>) {
      const size_t n = static_cast<size_t>(last - first);
      reserve(size_ + n);
      if (n) std::memcpy(data_ + size_, first, n * sizeof(T));
      size_ += static_cast<uint32_t>(n);
      return;
    }
    for (; first != last; ++first) push_back(*first);
  }
  bool operator==(const SmallVec& o) const {
    if (size_ != o.size_) return false;
    for (uint32_t i = 0; i < size_; ++i)
      if (!(data_[i] == o.data_[i])) return false;
    return true;
  }
  bool operator!=(const SmallVec& o) const { return !(*this == o); }

 private:
  // Items that may be copied as bytes: all places at once, in a few vector moves, whether in use or not.
  static constexpr bool kPlain = std::is_trivially_copyable_v<T>;
  void copy_inline(const SmallVec& o) {
    std::memcpy(inline_, o.inline_, sizeof inline_);
    size_ = o.size_;
  }

  bool is_inline() const { return data_ == reinterpret_cast<const T*>(inline_); }
  void destroy() {
    for (uint32_t i = 0; i < size_; ++i) data_[i].~T();
    if (!is_inline()) ::operator delete(data_);
    size_ = 0;
    capacity_ = N;
    data_ = reinterpret_cast<T*>(inline_);
  }
  void take(SmallVec& o) {
    if (kPlain && o.is_inline()) {
      copy_inline(o);
      o.size_ = 0;
    } else if (o.is_inline()) {
      for (uint32_t i = 0; i < o.size_; ++i) new (data_ + i) T(std::move(o.data_[i]));
      size_ = o.size_;
      o.clear();
    } else {
      data_ = std::exchange(o.data_, reinterpret_cast<T*>(o.inline_));
      size_ = std::exchange(o.size_, 0u);
      capacity_ = std::exchange(o.capacity_, N);
    }
  }

  T* data_ = reinterpret_cast<T*>(inline_);
  uint32_t size_ = 0;
  uint32_t capacity_ = N;
  alignas(T) unsigned char inline_[N * sizeof(T)];
};

using Dims = SmallVec<int64_t, 6>;

// A borrowed run of integers.
class IntSpan {
 public:
  IntSpan() = default;
  IntSpan(const int64_t* p, size_t n) : p_(p), n_(n) {}
  IntSpan(const Dims& d) : p_(d.data()), n_(d.size()) {}                  // NOLINT
  IntSpan(const std::vector<int64_t>& v) : p_(v.data()), n_(v.size()) {}  // NOLINT
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wunknown-warning-option"
#pragma GCC diagnostic ignored \
    "-Winit-list-lifetime"  // as an argument it lives as long as the call
  IntSpan(std::initializer_list<int64_t> l) : p_(l.begin()), n_(l.size()) {}  // NOLINT
#pragma GCC diagnostic pop
  size_t size() const { return n_; }
  bool empty() const { return n_ == 0; }
  const int64_t* begin() const { return p_; }
  const int64_t* end() const { return p_ + n_; }
  int64_t operator[](size_t i) const { return p_[i]; }
  int64_t back() const { return p_[n_ - 1]; }
  bool operator==(IntSpan o) const {
    if (n_ != o.n_) return false;
    for (size_t i = 0; i < n_; ++i)
      if (p_[i] != o.p_[i]) return false;
    return true;
  }
  bool operator!=(IntSpan o) const { return !(*this == o); }
  Dims dims() const { return Dims(begin(), end()); }

 private:
  const int64_t* p_ = nullptr;
  size_t n_ = 0;
};

std::ostream& operator<<(std::ostream& out, IntSpan sizes);  // [2, 3]

}  // namespace eg
