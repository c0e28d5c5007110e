// Is loaded before the C library, and hides parts of /proc: see restricted_proc.py.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

// The programs of the cases read their own state, and must see the real files.
static int is_a_case(void) {
  return !strncmp(program_invocation_short_name, "python", 6) || !strcmp(program_invocation_short_name, "node") ||
         !strcmp(program_invocation_short_name, "php");
}

static int ends_with(const char *text, const char *end) {
  size_t length = strlen(text), tail = strlen(end);
  return length >= tail && !strcmp(text + length - tail, end);
}

static int is_missing(const char *path) {
#ifdef LACKS_CHILDREN
  return path && !strncmp(path, "/proc/", 6) && ends_with(path, "/children") && !is_a_case();
#else
  (void)path;
  return 0;
#endif
}

static int is_status(const char *path) {
#ifdef LACKS_MASKS
  return path && !strncmp(path, "/proc/", 6) && ends_with(path, "/status") && !is_a_case();
#else
  (void)path;
  return 0;
#endif
}

// The status without the lines of signals, as a readable file.
static int without_masks(int status) {
  char text[8192];
  if (status < 0) return status;
  ssize_t length = read(status, text, sizeof text - 1);
  close(status);
  if (length < 0) return -1;
  text[length] = 0;
  int made = memfd_create("status", MFD_CLOEXEC);
  char *rest = text;
  for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n"))
    if (*line && strncmp(line, "Sig", 3) && strncmp(line, "Shd", 3)) dprintf(made, "%s\n", line);
  lseek(made, 0, SEEK_SET);
  return made;
}

static int look(const char *path) {
  int (*next)(int, const char *, int, ...) = dlsym(RTLD_NEXT, "openat");
  return without_masks(next(AT_FDCWD, path, O_RDONLY | O_CLOEXEC));
}

#define OPENAT(NAME)                                                              \
  int NAME(int folder, const char *path, int flags, ...) {                        \
    va_list rest;                                                                 \
    va_start(rest, flags);                                                        \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;       \
    va_end(rest);                                                                 \
    if (is_missing(path)) return errno = ENOENT, -1;                              \
    if (is_status(path)) return look(path);                                       \
    int (*next)(int, const char *, int, ...) = dlsym(RTLD_NEXT, #NAME);           \
    return next(folder, path, flags, mode);                                       \
  }
OPENAT(openat)
OPENAT(openat64)

#define OPEN(NAME)                                                                \
  int NAME(const char *path, int flags, ...) {                                    \
    va_list rest;                                                                 \
    va_start(rest, flags);                                                        \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;       \
    va_end(rest);                                                                 \
    return openat(AT_FDCWD, path, flags, mode);                                   \
  }
OPEN(open)
OPEN(open64)

#define FOPEN(NAME)                                                               \
  FILE *NAME(const char *path, const char *mode) {                                \
    if (is_missing(path)) return errno = ENOENT, NULL;                            \
    if (is_status(path)) {                                                        \
      int status = look(path);                                                    \
      return status < 0 ? NULL : fdopen(status, "r");                             \
    }                                                                             \
    FILE *(*next)(const char *, const char *) = dlsym(RTLD_NEXT, #NAME);          \
    return next(path, mode);                                                      \
  }
FOPEN(fopen)
FOPEN(fopen64)

int access(const char *path, int mode) {
  int (*next)(const char *, int) = dlsym(RTLD_NEXT, "access");
  return is_missing(path) ? (errno = ENOENT, -1) : next(path, mode);
}

int faccessat(int folder, const char *path, int mode, int flags) {
  int (*next)(int, const char *, int, int) = dlsym(RTLD_NEXT, "faccessat");
  return is_missing(path) ? (errno = ENOENT, -1) : next(folder, path, mode, flags);
}

int stat(const char *path, struct stat *result) {
  int (*next)(const char *, struct stat *) = dlsym(RTLD_NEXT, "stat");
  return is_missing(path) ? (errno = ENOENT, -1) : next(path, result);
}

int stat64(const char *path, struct stat64 *result) {
  int (*next)(const char *, struct stat64 *) = dlsym(RTLD_NEXT, "stat64");
  return is_missing(path) ? (errno = ENOENT, -1) : next(path, result);
}
