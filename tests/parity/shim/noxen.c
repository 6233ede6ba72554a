/*
 * Lets stock xl run its parsers on a computer without Xen: preloaded, it answers the few questions that they ask of
 * the hypervisor and of xenstore. The host it pretends to be is given by NOXEN_CPUS and NOXEN_NODES.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xenctrl.h>
#include <xenstore.h>

/* Handles that xl only passes around. */
static char no_handle[4096];

static unsigned int from_environment(const char *name, unsigned int otherwise)
{
    const char *value = getenv(name);

    return value ? (unsigned int)strtoul(value, NULL, 10) : otherwise;
}

static unsigned int cpus(void)
{
    return from_environment("NOXEN_CPUS", 8);
}

static unsigned int nodes(void)
{
    return from_environment("NOXEN_NODES", 2);
}

xc_interface *xc_interface_open(xentoollog_logger *logger, xentoollog_logger *dombuild, unsigned int flags)
{
    (void)logger, (void)dombuild, (void)flags;
    return (xc_interface *)no_handle;
}

int xc_interface_close(xc_interface *xch)
{
    (void)xch;
    return 0;
}

int xc_version(xc_interface *xch, int cmd, void *arg)
{
    (void)xch;
    switch (cmd) {
    case XENVER_version:
        return 4 << 16 | 17;
    case XENVER_pagesize:
        return 4096;
    case XENVER_build_id:
        errno = ENODATA;
        return -1;
    case XENVER_commandline:
        strcpy(arg, "dom0_mem=1G");
        return 0;
    default:
        /* The rest are texts and numbers of at least eight bytes. */
        memset(arg, 0, 8);
        return 0;
    }
}

int xc_physinfo(xc_interface *xch, xc_physinfo_t *info)
{
    (void)xch;
    memset(info, 0, sizeof(*info));
    info->threads_per_core = 1;
    info->cores_per_socket = cpus();
    info->nr_cpus = cpus();
    info->max_cpu_id = cpus() - 1;
    info->nr_nodes = nodes();
    info->max_node_id = nodes() - 1;
    info->total_pages = 1 << 20;
    info->free_pages = 1 << 19;
    return 0;
}

int xc_cputopoinfo(xc_interface *xch, unsigned *max_cpus, xc_cputopo_t *topology)
{
    unsigned int cpu;

    (void)xch;
    for (cpu = 0; topology && cpu < cpus() && cpu < *max_cpus; cpu++) {
        topology[cpu].core = cpu;
        topology[cpu].socket = 0;
        topology[cpu].node = cpu * nodes() / cpus();
    }
    *max_cpus = cpus();
    return 0;
}

/* There is no domain. */
int xc_domain_getinfolist(xc_interface *xch, uint32_t first, unsigned int max, xc_domaininfo_t *info)
{
    (void)xch, (void)first, (void)max, (void)info;
    return 0;
}

int xc_get_max_cpus(xc_interface *xch)
{
    (void)xch;
    return (int)cpus();
}

int xc_get_online_cpus(xc_interface *xch)
{
    (void)xch;
    return (int)cpus();
}

int xc_get_max_nodes(xc_interface *xch)
{
    (void)xch;
    return (int)nodes();
}

/* The one pool there is has no CPU: all are free for others. */
xc_cpupoolinfo_t *xc_cpupool_getinfo(xc_interface *xch, uint32_t first)
{
    xc_cpupoolinfo_t *info;

    (void)xch;
    if (first) {
        errno = ENOENT;
        return NULL;
    }
    info = calloc(1, sizeof(*info));
    info->sched_id = XEN_SCHEDULER_CREDIT2;
    info->cpumap = calloc(1, (cpus() + 7) / 8);
    return info;
}

void xc_cpupool_infofree(xc_interface *xch, xc_cpupoolinfo_t *info)
{
    (void)xch;
    free(info->cpumap);
    free(info);
}

xc_cpumap_t xc_cpupool_freeinfo(xc_interface *xch)
{
    xc_cpumap_t map = calloc(1, (cpus() + 7) / 8);
    unsigned int cpu;

    (void)xch;
    for (cpu = 0; cpu < cpus(); cpu++)
        map[cpu / 8] |= 1 << cpu % 8;
    return map;
}

int xc_sched_id(xc_interface *xch, int *scheduler)
{
    (void)xch;
    *scheduler = XEN_SCHEDULER_CREDIT2;
    return 0;
}

long xc_sharing_freed_pages(xc_interface *xch)
{
    (void)xch;
    return 0;
}

long xc_sharing_used_frames(xc_interface *xch)
{
    (void)xch;
    return 0;
}

struct xs_handle *xs_open(unsigned long flags)
{
    (void)flags;
    return (struct xs_handle *)no_handle;
}

void xs_close(struct xs_handle *xsh)
{
    (void)xsh;
}

/* Never readable. */
int xs_fileno(struct xs_handle *xsh)
{
    static int pipe_ends[2] = { -1, -1 };

    (void)xsh;
    if (pipe_ends[0] < 0 && pipe(pipe_ends))
        return -1;
    return pipe_ends[0];
}

void *xs_read(struct xs_handle *xsh, xs_transaction_t transaction, const char *path, unsigned int *length)
{
    const char *value = NULL;

    (void)xsh, (void)transaction;
    if (!strcmp(path, "/local/domain/0/name"))
        value = "Domain-0";
    else if (!strcmp(path, "/local/pool/0/name"))
        value = "Pool-0";
    if (!value) {
        errno = ENOENT;
        return NULL;
    }
    if (length)
        *length = strlen(value);
    return strdup(value);
}

char **xs_directory(struct xs_handle *xsh, xs_transaction_t transaction, const char *path, unsigned int *count)
{
    (void)xsh, (void)transaction, (void)path, (void)count;
    errno = ENOENT;
    return NULL;
}

bool xs_watch(struct xs_handle *xsh, const char *path, const char *token)
{
    (void)xsh, (void)path, (void)token;
    return true;
}

bool xs_unwatch(struct xs_handle *xsh, const char *path, const char *token)
{
    (void)xsh, (void)path, (void)token;
    return true;
}

xs_transaction_t xs_transaction_start(struct xs_handle *xsh)
{
    (void)xsh;
    return 1;
}

bool xs_transaction_end(struct xs_handle *xsh, xs_transaction_t transaction, bool abort)
{
    (void)xsh, (void)transaction, (void)abort;
    return true;
}

char *xs_get_domain_path(struct xs_handle *xsh, unsigned int domid)
{
    char *path;

    (void)xsh;
    return asprintf(&path, "/local/domain/%u", domid) < 0 ? NULL : path;
}
