/* A few threads that share the tasks of one step after another.
 *
 * Tasks are claimed one by one, so a thread that the system has put aside holds up one task at
 * most. Threads wait a little for the next step without sleeping, then sleep: idle costs nothing. */
#ifndef FIMBLE_THREADS_H
#define FIMBLE_THREADS_H

#include <stdint.h>

enum { MOST_THREADS = 64 };

/* `thread` is in [0, n_threads): its own scratch. */
typedef void task(void *argument, int32_t index, int32_t thread);

/* Run tasks [0, n), on the caller's thread too; returns when all are done. Where another thread is
 * within run_tasks, or there is but one thread or task, they run on the caller's thread alone. */
void run_tasks(task *run, void *argument, int32_t n);

/* How many threads share tasks from now on, the caller's counted. Returns how many it became: the
 * system may grant fewer. */
int32_t set_threads(int32_t n_threads);

#endif
