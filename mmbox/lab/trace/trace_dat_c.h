/* libtracecmd and libtraceevent behind a few C functions: tracefs.h 1.6.4 does not compile as C++.
 *
 * They read how a trace.dat describes its events. On damaged descriptions they crash, so that nothing here may be
 * called in a process that shall live on: see dat_describe.h. */
#ifndef MMBOX_LAB_TRACE_TRACE_DAT_C_H
#define MMBOX_LAB_TRACE_TRACE_DAT_C_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct mmbox_dat;

struct mmbox_dat_event {
  int id;
  const char* name;
};

struct mmbox_dat_field {
  const char* name;
  int offset; /* in a record, whose common fields come first */
  int size;   /* 0: an array without a length of its own */
  bool is_signed;
};

/* Opens a trace.dat; takes the descriptor over. NULL if the libraries refuse the file. */
struct mmbox_dat* mmbox_dat_open(int fd);

/* Bytes of a long in the traced kernel. */
int mmbox_dat_long_size(const struct mmbox_dat* dat);
/* True for a ring buffer of before 2.6.30. */
bool mmbox_dat_is_old_format(const struct mmbox_dat* dat);

/* Events by position. False behind the last one. */
bool mmbox_dat_event_at(const struct mmbox_dat* dat, int position, struct mmbox_dat_event* event);
/* The fields of an event by number, the common ones first. False behind the last one. */
bool mmbox_dat_field_at(const struct mmbox_dat* dat, int position, int number, struct mmbox_dat_field* field);

/* Prints a record as trace-cmd does, cut off at the end of `text`. */
void mmbox_dat_print(const struct mmbox_dat* dat, const void* data, size_t size, char* text, size_t text_size);

#ifdef __cplusplus
}
#endif

#endif
