// SPDX-License-Identifier: BSD-3-Clause
// What the static libraries of Debian lack for being part of a shared library (FLOWMETER_PORTABLE).
// The linker finds these definitions first and leaves out the members of the archives that have the
// same ones.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

// The archives are made for programs (-fPIE), into which libc's variables would be copied. A shared
// library cannot do that, so it has variables of its own with the same values.
struct _IO_FILE *stdin, *stdout, *stderr;

__attribute__((constructor)) static void find_standard_streams(void) {
  stdin = *(struct _IO_FILE**)dlsym(RTLD_DEFAULT, "stdin");
  stdout = *(struct _IO_FILE**)dlsym(RTLD_DEFAULT, "stdout");
  stderr = *(struct _IO_FILE**)dlsym(RTLD_DEFAULT, "stderr");
}

// libstdc++'s random_device calls arc4random(), the one function here that needs glibc 2.36. The
// others need 2.34.
uint32_t arc4random(void) {
  uint32_t value;
  if (getrandom(&value, sizeof(value), 0) != sizeof(value))
    abort();  // cannot fail for so few bytes
  return value;
}

// libelf's own elf_error.o has a thread-local variable that only a program can have. libbpf reads
// only the BPF programs inside of the module with libelf, so one text is enough.
static _Thread_local int elf_error;

void __libelf_seterrno(int value) {
  elf_error = value;
}

int elf_errno(void) {
  const int value = elf_error;
  elf_error = 0;
  return value;
}

const char* elf_errmsg(int number) {
  return number == 0 && elf_error == 0 ? NULL : "libelf cannot read the BPF programs";
}

// libpcap compiles filters here and opens no device. With its D-Bus captures it would need libdbus
// and, through that, libsystemd.
int dbus_findalldevs(void* devices, char* error) {
  (void)devices;
  (void)error;
  return 0;
}

void* dbus_create(const char* device, char* error, int* is_ours) {
  (void)device;
  (void)error;
  *is_ours = 0;
  return NULL;
}
