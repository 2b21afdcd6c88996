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

struct mmbox_dat_field {
  uint32_t offset;
  uint32_t size;
  bool is_signed;
};

/* Reads the description of a trace.dat: its events and the names of its tasks. Takes the descriptor over, also when it
 * fails. NULL if the libraries refuse the file. */
struct mmbox_dat* mmbox_dat_open(int fd);
void mmbox_dat_close(struct mmbox_dat* dat);

/* Bytes of a long in the traced kernel. */
int mmbox_dat_long_size(const struct mmbox_dat* dat);
/* True for a ring buffer of before 2.6.30. */
bool mmbox_dat_is_old_format(const struct mmbox_dat* dat);

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
