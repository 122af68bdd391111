/* Around musl's epoll_wait (`--wrap`): a program that has had nothing to do for a moment gives back what it has mapped
 * of its own file. The kernel maps code in windows of 64 KiB and holds on to them, as it takes code for what is needed
 * soonest; of an agent at rest almost none is. What runs next is mapped again when it runs: it is still in the page
 * cache, or is read once more like any other file. Data of ours is not touched: what can be written to lies behind
 * `etext`. */
#include <sys/epoll.h>
#include <sys/mman.h>

/* For so long nothing must have happened, in ms: longer than a request takes. */
#define REST 2000

extern char __executable_start[], etext[];
int __real_epoll_wait(int, struct epoll_event *, int, int);

int __wrap_epoll_wait(int epoll, struct epoll_event *events, int most, int timeout)
{
    /* A wait of its own length is short: all long ones are timers among the events. */
    if (timeout >= 0)
        return __real_epoll_wait(epoll, events, most, timeout);
    int count = __real_epoll_wait(epoll, events, most, REST);
    if (count != 0)
        return count;
    madvise(__executable_start, etext - __executable_start, MADV_DONTNEED);
    return __real_epoll_wait(epoll, events, most, -1);
}
