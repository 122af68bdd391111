/* Two functions in place of musl's, whose own bring printf with them, and with it floating point in software: 14 KiB.
 * A static program has nothing to look up by name; musl says so as well, in a sentence that nobody reads. And threads
 * are only ever named by themselves, for which one call of the kernel does. */
#include <stddef.h>
#include <sys/prctl.h>

void *dlsym(void *library, const char *name)
{
    return NULL;
}

/* The same for processors of 32 bits, where it would look for the functions that have times of 64. */
void *__dlsym_time64(void *library, const char *name)
{
    return NULL;
}

int pthread_setname_np(void *thread, const char *name)
{
    return prctl(PR_SET_NAME, name);
}
