#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

// Replaces operator new of a whole test executable by one that tells of every allocation. For one source file
// of it, which defines count_allocation().

namespace terrane::test {

/// Called before every allocation but those of over-aligned types, from any thread; must not allocate.
/// `caller` is where operator new returns to.
void count_allocation(std::size_t bytes, const void* caller);

inline void* counted_memory(std::size_t bytes, const void* caller) noexcept {
    count_allocation(bytes, caller);
    return std::malloc(bytes == 0 ? 1 : bytes);
}

}  // namespace terrane::test

// Not inlined: the return address must be the caller's, and GCC would take malloc and free for a mismatched
// pair. Every form is here: those that the sanitizers bring don't call ours as the library's do.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
    if (void* memory = terrane::test::counted_memory(bytes, __builtin_return_address(0))) return memory;
    throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new[](std::size_t bytes) {
    if (void* memory = terrane::test::counted_memory(bytes, __builtin_return_address(0))) return memory;
    throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
    return terrane::test::counted_memory(bytes, __builtin_return_address(0));
}
[[gnu::noinline]] void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
    return terrane::test::counted_memory(bytes, __builtin_return_address(0));
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
    std::free(memory);
}
[[gnu::noinline]] void operator delete[](void* memory) noexcept {
    std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}
[[gnu::noinline]] void operator delete[](void* memory, std::size_t) noexcept {
    std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, const std::nothrow_t&) noexcept {
    std::free(memory);
}
[[gnu::noinline]] void operator delete[](void* memory, const std::nothrow_t&) noexcept {
    std::free(memory);
}
