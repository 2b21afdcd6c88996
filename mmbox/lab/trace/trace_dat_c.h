/* libtracecmd and libtraceevent behind a few C functions: tracefs.h 1.6.4 does not compile as C++. */
#ifndef MMBOX_LAB_TRACE_TRACE_DAT_C_H
#define MMBOX_LAB_TRACE_TRACE_DAT_C_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct mmbox_dat;

/* One recorded event; `data` begins with the common fields and lives until the next read of the same cpu. */
struct mmbox_dat_record {
  uint64_t timestamp;
  uint64_t file_offset; /* of the record, counted in uncompressed bytes */
  const void* data;
  uint32_t size;
  int64_t missed_events; /* lost before this one: 0 none, < 0 some */
};

struct mmbox_dat_field {
  uint32_t offset;
  uint32_t size;
  bool is_signed;
};

/* Opens a trace.dat; takes the descriptor over, also when it fails. NULL if the libraries refuse the file. */
struct mmbox_dat* mmbox_dat_open(int fd);
void mmbox_dat_close(struct mmbox_dat* dat);

int mmbox_dat_cpus(const struct mmbox_dat* dat);
bool mmbox_dat_is_big_endian(const struct mmbox_dat* dat);

/* Reads the next record of a cpu. False at the end. */
bool mmbox_dat_read(struct mmbox_dat* dat, int cpu, struct mmbox_dat_record* record);

/* Events by position, until name is NULL. */
const char* mmbox_dat_event_name(const struct mmbox_dat* dat, int position);
const char* mmbox_dat_event_system(const struct mmbox_dat* dat, int position);
int mmbox_dat_event_id(const struct mmbox_dat* dat, int position);
/* A field of the event's own or of the common part; an array without length has size 0. */
bool mmbox_dat_event_field(const struct mmbox_dat* dat, int position, const char* name, struct mmbox_dat_field* field);

/* The name of a task; "<...>" if the trace does not have it. */
const char* mmbox_dat_comm(const struct mmbox_dat* dat, int pid);

/* Prints a record as trace-cmd does, cut off at the end of `text`. */
void mmbox_dat_print(const struct mmbox_dat* dat, const void* data, uint32_t size, char* text, size_t text_size);

#ifdef __cplusplus
}
#endif

#endif
