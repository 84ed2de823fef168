/* SPDX-License-Identifier: MIT */
/* Locks among threads, and that the checks of debug builds see what is wrong. */
#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <asm/current.h>
#include <domus/spinlock.h>

#define THREADS 4
#define ROUNDS  5000

static DEFINE_SPINLOCK(first, RANK_DOMAIN);
static DEFINE_SPINLOCK(second, RANK_EVENT_TABLE);
static DEFINE_SPINLOCK(irq_lock, RANK_HEAP);
static DEFINE_RWLOCK(rw, RANK_GRANT_TABLE);
static unsigned long counter, shared[2];

static void *spin_worker(void *arg)
{
    host_cpu = (unsigned int)(unsigned long)arg;
    for (int i = 0; i < ROUNDS; i++) {
        unsigned long flags;

        if (i % 16 || !spin_trylock(&first))
            spin_lock(&first);
        spin_lock_irqsave(&irq_lock, flags);
        counter++;
        spin_unlock_irqrestore(&irq_lock, flags);
        spin_unlock(&first);
    }
    return NULL;
}

static void *rw_worker(void *arg)
{
    host_cpu = (unsigned int)(unsigned long)arg;
    for (int i = 0; i < ROUNDS; i++) {
        if (i % 8 == 0) {
            write_lock(&rw);
            shared[0]++;
            shared[1]++;
            write_unlock(&rw);
        } else {
            read_lock(&rw);
            BUG_ON(shared[0] != shared[1]);
            read_unlock(&rw);
        }
    }
    return NULL;
}

static void run_threads(void *(*fn)(void *))
{
    pthread_t thread[THREADS];

    for (unsigned long i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, fn, (void *)(i + 1)), 0);
    for (unsigned int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
}

static void exclusion(void **state)
{
    (void)state;
    run_threads(spin_worker);
    assert_int_equal(counter, THREADS * ROUNDS);
    run_threads(rw_worker);
    assert_int_equal(shared[0], THREADS * (ROUNDS / 8));
    assert_int_equal(rw.state, 0);
}

static void trylock(void **state)
{
    (void)state;
    assert_false(spin_is_locked(&first));
    assert_true(spin_trylock(&first));
    assert_true(spin_is_locked(&first));
    assert_false(spin_trylock(&first));
    spin_unlock(&first);
    spin_barrier(&first);
}

/* Run fn in a child: whether it panicked. */
static bool panics(void (*fn)(void))
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        if (!freopen("/dev/null", "w", stderr))
            _exit(2);
        fn();
        _exit(0);
    }
    waitpid(pid, &status, 0);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static void right_order(void)
{
    spin_lock(&first);
    spin_lock(&second);
    spin_unlock(&first);
    spin_unlock(&second);
}

static void wrong_order(void)
{
    spin_lock(&second);
    spin_lock(&first);
}

static void same_twice(void)
{
    spin_lock(&first);
    spin_lock(&first);
}

static void mixed_interrupts(void)
{
    spin_lock(&first);
    spin_unlock(&first);
    spin_lock_irq(&first);
}

static void not_holder(void)
{
    spin_lock(&first);
    host_cpu = 3;
    spin_unlock(&first);
}

static void same_rank(void)
{
    spinlock_t another;

    spin_lock_init(&another, RANK_DOMAIN);
    spin_lock(&first);
    spin_lock(&another);
}

static void checks(void **state)
{
    (void)state;
    lock_checks_enable(true);
    assert_false(panics(right_order));
    assert_true(panics(wrong_order));
    assert_true(panics(same_twice));
    assert_true(panics(mixed_interrupts));
    assert_true(panics(not_holder));
    assert_true(panics(same_rank));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exclusion),
        cmocka_unit_test(trylock),
        cmocka_unit_test(checks),
    };

    return cmocka_run_group_tests_name("lock", tests, NULL, NULL);
}
