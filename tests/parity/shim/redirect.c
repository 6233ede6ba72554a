/*
 * Preloaded, it gives a program another file for /etc/xen/xl.conf: the one that REDIRECT_XL_CONF names. Only the calls
 * by which stock xl and ours come to it are here.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *place(const char *path)
{
    const char *other = getenv("REDIRECT_XL_CONF");

    return other && path && !strcmp(path, "/etc/xen/xl.conf") ? other : path;
}

#define OPEN(name)                                                                                                    \
    int name(const char *path, int flags, ...)                                                                        \
    {                                                                                                                 \
        int (*next)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name);               \
        va_list rest;                                                                                                 \
        mode_t mode = 0;                                                                                              \
                                                                                                                      \
        va_start(rest, flags);                                                                                        \
        if (flags & (O_CREAT | O_TMPFILE))                                                                            \
            mode = va_arg(rest, mode_t);                                                                              \
        va_end(rest);                                                                                                 \
        return next(place(path), flags, mode);                                                                        \
    }

OPEN(open)
OPEN(open64)

#define FOPEN(name)                                                                                                   \
    FILE *name(const char *path, const char *mode)                                                                    \
    {                                                                                                                 \
        FILE *(*next)(const char *, const char *) = (FILE * (*)(const char *, const char *))dlsym(RTLD_NEXT, #name);  \
                                                                                                                      \
        return next(place(path), mode);                                                                               \
    }

FOPEN(fopen)
FOPEN(fopen64)

int statx(int directory, const char *path, int flags, unsigned int mask, struct statx *answer)
{
    int (*next)(int, const char *, int, unsigned int, struct statx *) =
        (int (*)(int, const char *, int, unsigned int, struct statx *))dlsym(RTLD_NEXT, "statx");

    return next(directory, place(path), flags, mask, answer);
}
