/* Stands between a program and the files below one directory.
 *
 * Loaded by LD_PRELOAD. Every operation on those files is numbered from 1, written to a
 * log and, at one number, made to fail: by an error, or by the end of the process. The
 * program says where with disk_arm(). What is elsewhere is passed through unseen.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* The numbers are those of Kind and Fault in faults.py. */
enum kind { MKDIR = 1, MKNOD, OPEN, WRITE, TRUNCATE, SYNC, UNLINK, RENAME, READ };
enum fault {
    NONE, FAIL, FAIL_DONE, FAIL_FROM, FULL_FROM, KILL_BEFORE, KILL_AFTER, TORN, SHORT,
    SHORT_THEN_FULL, NO_FILES_FROM
};

struct __attribute__((packed)) entry {
    uint32_t number, handle;
    uint8_t kind, done;
    uint16_t name_bytes;
    int32_t error;
    int64_t offset;
    uint32_t data_bytes;
};

struct operation {
    enum kind kind;
    const char *name, *renamed;
    const void *data;
    void *into;
    int fd, allocates;
    uint32_t handle;
    int64_t offset;
    size_t size;
};

#define HANDLES 1024
static struct { uint32_t handle; char name[512]; } opened[HANDLES];
static char root[512];
static size_t root_bytes;
static int armed, fault, fault_error;
static char *log_start;
static size_t log_size, logged;
static uint32_t count, strike;
static size_t fault_bytes;

static void broken(const char *why)
{
    /* The harness itself failed: this must not look like one of its own kills. */
    syscall(SYS_write, 2, why, strlen(why));
    syscall(SYS_exit_group, 70);
}

/* The log is a mapped file of that many zeros: what is in it outlives the process. */
void disk_arm(const char *directory, int log, size_t size, uint32_t at, int what,
              int error, size_t bytes)
{
    snprintf(root, sizeof root, "%s", directory);
    root_bytes = strlen(root);
    log_size = size;
    log_start = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, log, 0);
    if (log_start == MAP_FAILED)
        broken("the log cannot be mapped\n");
    strike = at, fault = what, fault_error = error, fault_bytes = bytes;
    count = 0, armed = 1;
}

void disk_heal(void) { fault = NONE; }
uint32_t disk_count(void) { return count; }

static int is_below(const char *name)
{
    return armed && name && strncmp(name, root, root_bytes) == 0
        && (name[root_bytes] == '/' || !name[root_bytes]);
}

static int is_watched(int fd)
{
    return armed && fd >= 0 && fd < HANDLES && opened[fd].handle;
}

static void log_bytes(const void *data, size_t bytes)
{
    if (logged + bytes > log_size)
        broken("the log is full\n");
    if (!bytes)
        return;
    memcpy(log_start + logged, data, bytes);
    logged += bytes;
}

static void log_entry(const struct operation *op, int done, int error, size_t bytes)
{
    const char *data = op->renamed ? op->renamed : op->data;
    struct entry entry = {
        .number = count, .handle = op->handle, .kind = op->kind, .done = done,
        .name_bytes = strlen(op->name), .error = error, .offset = op->offset,
        .data_bytes = op->renamed ? strlen(op->renamed) : data ? bytes : 0,
    };

    log_bytes(&entry, sizeof entry);
    log_bytes(op->name, entry.name_bytes);
    log_bytes(data, entry.data_bytes);
}

static void die(void)
{
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;)
        pause();
}

static long perform(const struct operation *op, size_t bytes)
{
    switch (op->kind) {
    case MKDIR: return syscall(SYS_mkdirat, AT_FDCWD, op->name, (mode_t)op->size);
    case MKNOD: return syscall(SYS_mknodat, AT_FDCWD, op->name, (mode_t)op->size, 0);
    case OPEN: return syscall(SYS_openat, AT_FDCWD, op->name, op->fd, (mode_t)op->size);
    case WRITE: return syscall(SYS_pwrite64, op->fd, op->data, bytes, op->offset);
    case READ: return syscall(SYS_pread64, op->fd, op->into, bytes, op->offset);
    case TRUNCATE: return syscall(SYS_ftruncate, op->fd, op->offset);
    case SYNC: return syscall(SYS_fsync, op->fd);
    case UNLINK: return syscall(SYS_unlinkat, AT_FDCWD, op->name, 0);
    case RENAME: return syscall(SYS_renameat2, AT_FDCWD, op->name, AT_FDCWD, op->renamed, 0);
    }
    broken("an unknown operation\n");
    return -1;
}

static long fail(const struct operation *op, int error, int done)
{
    log_entry(op, done, error, done ? op->size : 0);
    errno = error;
    return -1;
}

/* Do it and log it; what failed by itself has changed nothing. */
static long perform_and_log(const struct operation *op, size_t bytes)
{
    long result = perform(op, bytes);
    struct operation said = *op;
    int error = errno;

    if (op->kind == OPEN && result >= 0)
        said.handle = count;
    log_entry(&said, result >= 0, result < 0 ? error : 0, result > 0 ? result : 0);
    errno = error;
    return result;
}

/* What was done although it failed; a file that was opened is not left open. */
static long fail_done(const struct operation *op)
{
    long result = perform(op, op->size);

    if (result < 0)
        return fail(op, errno, 0);
    if (op->kind == OPEN)
        syscall(SYS_close, result);
    return fail(op, fault_error, 1);
}

static long struck(const struct operation *op)
{
    size_t bytes = fault_bytes < op->size ? fault_bytes : op->size;
    int here = count == strike;

    switch (fault) {
    case FAIL: case FAIL_FROM: return fail(op, fault_error, 0);
    case FULL_FROM: return fail(op, ENOSPC, 0);
    case NO_FILES_FROM: return fail(op, EMFILE, 0);
    case FAIL_DONE: return fail_done(op);
    case KILL_BEFORE: die(); break;
    case KILL_AFTER: perform_and_log(op, op->size); die(); break;
    case TORN: perform_and_log(op, bytes); die(); break;
    case SHORT: return perform_and_log(op, bytes);
    case SHORT_THEN_FULL:
        return here ? perform_and_log(op, bytes) : fail(op, ENOSPC, 0);
    }
    broken("an unknown fault\n");
    return -1;
}

static int is_struck(const struct operation *op)
{
    if (fault == NONE || count < strike)
        return 0;
    if (count == strike)
        return 1;
    return fault == FAIL_FROM || (fault == NO_FILES_FROM && op->kind == OPEN)
        || ((fault == FULL_FROM || fault == SHORT_THEN_FULL) && op->allocates);
}

static long operate(struct operation op)
{
    if (strlen(op.name) >= 512)
        broken("a name is too long\n");
    count++;
    return is_struck(&op) ? struck(&op) : perform_and_log(&op, op.size);
}

static struct operation on(int fd, enum kind kind)
{
    return (struct operation){
        .kind = kind, .name = opened[fd].name, .fd = fd, .handle = opened[fd].handle,
    };
}

/* The numbering is by place in the file, so these two move on by themselves. */
static long advance(int fd, long result)
{
    if (result > 0)
        syscall(SYS_lseek, fd, result, SEEK_CUR);
    return result;
}

static int64_t place_in(int fd) { return syscall(SYS_lseek, fd, 0, SEEK_CUR); }

static long do_write(int fd, const void *data, size_t size, int64_t offset)
{
    struct operation op = on(fd, WRITE);

    op.data = data, op.size = size, op.offset = offset, op.allocates = 1;
    return operate(op);
}

ssize_t write(int fd, const void *data, size_t size)
{
    return is_watched(fd) ? advance(fd, do_write(fd, data, size, place_in(fd)))
                          : syscall(SYS_write, fd, data, size);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    return is_watched(fd) ? do_write(fd, data, size, offset)
                          : syscall(SYS_pwrite64, fd, data, size, offset);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    return pwrite64(fd, data, size, offset);
}

static long do_read(int fd, void *data, size_t size, int64_t offset)
{
    struct operation op = on(fd, READ);

    op.into = data, op.size = size, op.offset = offset;
    return operate(op);
}

ssize_t read(int fd, void *data, size_t size)
{
    return is_watched(fd) ? advance(fd, do_read(fd, data, size, place_in(fd)))
                          : syscall(SYS_read, fd, data, size);
}

ssize_t pread64(int fd, void *data, size_t size, off64_t offset)
{
    return is_watched(fd) ? do_read(fd, data, size, offset)
                          : syscall(SYS_pread64, fd, data, size, offset);
}

ssize_t pread(int fd, void *data, size_t size, off_t offset)
{
    return pread64(fd, data, size, offset);
}

int ftruncate64(int fd, off64_t length)
{
    struct operation op;

    if (!is_watched(fd))
        return syscall(SYS_ftruncate, fd, length);
    op = on(fd, TRUNCATE), op.offset = length;
    return operate(op);
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int fsync(int fd)
{
    return is_watched(fd) ? operate(on(fd, SYNC)) : syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return is_watched(fd) ? operate(on(fd, SYNC)) : syscall(SYS_fdatasync, fd);
}

static int do_open(const char *name, int flags, mode_t mode)
{
    struct operation op = {
        .kind = OPEN, .name = name, .fd = flags, .size = mode,
    };
    int fd;

    /* What is there already is opened, not made, whatever the flags say. */
    op.allocates = (flags & O_CREAT) && faccessat(AT_FDCWD, name, F_OK, AT_SYMLINK_NOFOLLOW);
    op.offset = op.allocates;
    fd = operate(op);
    if (fd >= HANDLES)
        broken("too many open files\n");
    if (fd >= 0) {
        opened[fd].handle = count;
        snprintf(opened[fd].name, sizeof opened[fd].name, "%s", name);
    }
    return fd;
}

static mode_t mode_of(int flags, va_list rest)
{
    return flags & O_CREAT ? va_arg(rest, mode_t) : 0;
}

#define OPEN_AS(called)                                                       \
    int called(const char *name, int flags, ...)                              \
    {                                                                         \
        va_list rest;                                                         \
        mode_t mode;                                                          \
        va_start(rest, flags), mode = mode_of(flags, rest), va_end(rest);     \
        return is_below(name) ? do_open(name, flags, mode)                    \
                              : syscall(SYS_openat, AT_FDCWD, name, flags, mode); \
    }
OPEN_AS(open)
OPEN_AS(open64)

#define OPENAT_AS(called)                                                     \
    int called(int at, const char *name, int flags, ...)                      \
    {                                                                         \
        va_list rest;                                                         \
        mode_t mode;                                                          \
        va_start(rest, flags), mode = mode_of(flags, rest), va_end(rest);     \
        return is_below(name) ? do_open(name, flags, mode)                    \
                              : syscall(SYS_openat, at, name, flags, mode);   \
    }
OPENAT_AS(openat)
OPENAT_AS(openat64)

int close(int fd)
{
    if (fd >= 0 && fd < HANDLES)
        opened[fd].handle = 0;
    return syscall(SYS_close, fd);
}

static long do_named(enum kind kind, const char *name, const char *renamed, size_t size)
{
    int allocates = kind == MKDIR || kind == MKNOD || kind == RENAME;

    return operate((struct operation){
        .kind = kind,
        .name = name, .renamed = renamed, .size = size, .allocates = allocates,
    });
}

int unlink(const char *name)
{
    return is_below(name) ? do_named(UNLINK, name, NULL, 0)
                          : syscall(SYS_unlinkat, AT_FDCWD, name, 0);
}

int rename(const char *from, const char *to)
{
    return is_below(from) ? do_named(RENAME, from, to, 0)
                          : syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int mkdir(const char *name, mode_t mode)
{
    return is_below(name) ? do_named(MKDIR, name, NULL, mode)
                          : syscall(SYS_mkdirat, AT_FDCWD, name, mode);
}

int mknod(const char *name, mode_t mode, dev_t device)
{
    return is_below(name) ? do_named(MKNOD, name, NULL, mode)
                          : syscall(SYS_mknodat, AT_FDCWD, name, mode, device);
}
