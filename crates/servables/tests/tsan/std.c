// SPDX-License-Identifier: Apache-2.0
// Tells the thread sanitizer what the standard library does out of its sight, as that is not built with it: without
// this half of what a lock protects looks unprotected. Nothing is hidden; the linker puts these functions before the
// real ones (--wrap), and each says what the real one does. run.sh finds the real ones' names.
#include <stdbool.h>
#include <stdint.h>

void __tsan_acquire(void *address);
void __tsan_release(void *address);

#define WRAPPED(result, name, symbol, ...) \
    result real_##name(__VA_ARGS__) __asm__("__real_" symbol); \
    result wrap_##name(__VA_ARGS__) __asm__("__wrap_" symbol); \
    result wrap_##name(__VA_ARGS__)

// A lock that is not free at once is taken within the standard library. It is released in sight.
WRAPPED(void, lock, MUTEX_LOCK, void *mutex) {
    real_lock(mutex);
    __tsan_acquire(mutex);
}

WRAPPED(void, read, RWLOCK_READ, void *lock) {
    real_read(lock);
    __tsan_acquire(lock);
}

WRAPPED(void, write, RWLOCK_WRITE, void *lock) {
    real_write(lock);
    __tsan_acquire(lock);
}

// Whoever waits releases the lock and takes it again.
WRAPPED(void, wait, CONDVAR_WAIT, void *condvar, void *mutex) {
    __tsan_release(mutex);
    real_wait(condvar, mutex);
    __tsan_acquire(mutex);
}

WRAPPED(bool, wait_timeout, CONDVAR_WAIT_TIMEOUT, void *condvar, void *mutex, uint64_t seconds, uint32_t nanos) {
    __tsan_release(mutex);
    bool woken = real_wait_timeout(condvar, mutex, seconds, nanos);
    __tsan_acquire(mutex);
    return woken;
}

// Arc counts down with release, and a fence acquires for the last owner. The sanitizer ignores fences, so each owner
// acquires: that is more than the truth only for one who is not the last and goes on with what it has just let go.
enum { RELEASE = 3, ACQUIRE_RELEASE = 4 };

WRAPPED(uint64_t, fetch_sub, "__tsan_atomic64_fetch_sub", volatile uint64_t *count, uint64_t by, int order) {
    return real_fetch_sub(count, by, order == RELEASE ? ACQUIRE_RELEASE : order);
}
