#include "threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#if defined(__x86_64__) || defined(__i386__)
#define REST() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define REST() __asm__ volatile("yield")
#else
#define REST() ((void)0)
#endif

/* About 50 microseconds on x86: longer than between two steps of a pass, shorter than between two
 * passes. Guessed; measure. */
enum { RESTS_BEFORE_SLEEP = 2000 };

/* The ticket holds the step's number in its upper half, and in its lower the tasks that nobody has
 * claimed. A task is claimed by lowering the ticket from a value that was read before the step's
 * other fields: where that succeeds, the step was not over, and what was read was its own. */
static struct {
    _Atomic uint64_t ticket;
    _Atomic(task *) run;
    _Atomic(void *) argument;
    _Atomic int32_t n_tasks, n_done;
    _Atomic int32_t n_sharing; /* Threads that may claim, the caller's counted. */
    _Atomic int32_t n_asleep;
    _Atomic bool is_busy;
    int32_t n_started;
    pthread_mutex_t lock;
    pthread_cond_t wake;
} team = {.n_sharing = 1, .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static void claim_tasks(uint32_t step, int32_t thread) {
    for (;;) {
        uint64_t ticket = atomic_load(&team.ticket);
        task *run = atomic_load_explicit(&team.run, memory_order_relaxed);
        void *argument = atomic_load_explicit(&team.argument, memory_order_relaxed);
        int32_t n = atomic_load_explicit(&team.n_tasks, memory_order_relaxed);
        int32_t n_left = (int32_t)(uint32_t)ticket;
        if ((uint32_t)(ticket >> 32) != step || n_left == 0) return;
        if (!atomic_compare_exchange_weak(&team.ticket, &ticket, ticket - 1)) continue;
        run(argument, n - n_left, thread);
        atomic_fetch_add_explicit(&team.n_done, 1, memory_order_release);
    }
}

static uint32_t wait_for_step(uint32_t last) {
    uint32_t step;
    for (int rests = 0; rests < RESTS_BEFORE_SLEEP; rests++) {
        step = (uint32_t)(atomic_load(&team.ticket) >> 32);
        if (step != last) return step;
        REST();
    }
    pthread_mutex_lock(&team.lock);
    atomic_fetch_add(&team.n_asleep, 1);
    while ((step = (uint32_t)(atomic_load(&team.ticket) >> 32)) == last)
        pthread_cond_wait(&team.wake, &team.lock);
    atomic_fetch_sub(&team.n_asleep, 1);
    pthread_mutex_unlock(&team.lock);
    return step;
}

static void *work(void *argument) {
    int32_t thread = (int32_t)(intptr_t)argument;
    uint32_t step = 0;
    for (;;) {
        step = wait_for_step(step);
        if (thread < atomic_load(&team.n_sharing)) claim_tasks(step, thread);
    }
    return NULL;
}

static void run_alone(task *run, void *argument, int32_t n) {
    for (int32_t index = 0; index < n; index++) run(argument, index, 0);
}

void run_tasks(task *run, void *argument, int32_t n) {
    if (n <= 1 || atomic_load(&team.n_sharing) <= 1) {
        run_alone(run, argument, n);
        return;
    }
    if (atomic_exchange(&team.is_busy, true)) {
        run_alone(run, argument, n);
        return;
    }
    uint32_t step = (uint32_t)(atomic_load(&team.ticket) >> 32) + 1;
    atomic_store_explicit(&team.run, run, memory_order_relaxed);
    atomic_store_explicit(&team.argument, argument, memory_order_relaxed);
    atomic_store_explicit(&team.n_tasks, n, memory_order_relaxed);
    atomic_store_explicit(&team.n_done, 0, memory_order_relaxed);
    atomic_store(&team.ticket, (uint64_t)step << 32 | (uint32_t)n);
    if (atomic_load(&team.n_asleep) > 0) {
        pthread_mutex_lock(&team.lock);
        pthread_cond_broadcast(&team.wake);
        pthread_mutex_unlock(&team.lock);
    }
    claim_tasks(step, 0);
    for (int rests = 0; atomic_load_explicit(&team.n_done, memory_order_acquire) < n; rests++)
        if (rests < RESTS_BEFORE_SLEEP)
            REST();
        else
            sched_yield();
    atomic_store(&team.is_busy, false);
}

int32_t set_threads(int32_t n_threads) {
    if (n_threads > MOST_THREADS) n_threads = MOST_THREADS;
    if (n_threads < 1) n_threads = 1;
    pthread_mutex_lock(&team.lock);
    while (team.n_started < n_threads - 1) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, work, (void *)(intptr_t)(team.n_started + 1))) break;
        pthread_detach(thread);
        team.n_started++;
    }
    int32_t n = team.n_started + 1 < n_threads ? team.n_started + 1 : n_threads;
    atomic_store(&team.n_sharing, n);
    pthread_mutex_unlock(&team.lock);
    return n;
}
