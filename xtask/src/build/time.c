/* For big-endian processors of 32 bits. musl's times of 64 bits have four bytes of padding there, and the nanoseconds
 * behind them; so has the kernel, and so has Rust's library. The crate rustix (1.1, by which timers are set) has the
 * nanoseconds in front of them. The linker leads the calls of both functions here (--wrap): a time that is told has its
 * nanoseconds in both places, and of one that is set, which only rustix does, they are put where they belong. */
#include <stdint.h>

struct time {
    int64_t seconds;
    int32_t early, late;
};
struct timer {
    struct time interval, value;
};

int __real___clock_gettime64(int clock, struct time *now);
int __real___timerfd_settime64(int fd, int flags, const struct timer *new, struct timer *old);

int __wrap___clock_gettime64(int clock, struct time *now)
{
    int result = __real___clock_gettime64(clock, now);
    if (result == 0)
        now->early = now->late;
    return result;
}

static struct time right(struct time time)
{
    struct time out = {time.seconds, 0, time.early};
    return out;
}

int __wrap___timerfd_settime64(int fd, int flags, const struct timer *new, struct timer *old)
{
    struct timer timer = {right(new->interval), right(new->value)};
    int result = __real___timerfd_settime64(fd, flags, &timer, old);
    if (result == 0 && old) {
        old->interval.early = old->interval.late;
        old->value.early = old->value.late;
    }
    return result;
}
