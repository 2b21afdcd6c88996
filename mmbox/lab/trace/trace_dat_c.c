#include "mmbox/lab/trace/trace_dat_c.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <trace-cmd.h>

struct mmbox_dat {
  struct tracecmd_input* input;
  struct tep_handle* tep;
  struct tep_event** events; /* owned by tep */
};

struct mmbox_dat* mmbox_dat_open(int fd) {
  tracecmd_set_loglevel(TEP_LOG_NONE);
  tep_set_loglevel(TEP_LOG_NONE);
  struct mmbox_dat* dat = calloc(1, sizeof(*dat));
  if (dat == NULL) {
    close(fd);
    return NULL;
  }
  /* Plugins only print; without them no foreign code is loaded. */
  dat->input = tracecmd_open_fd(fd, TRACECMD_FL_LOAD_NO_PLUGINS);
  if (dat->input == NULL) {
    free(dat);
    return NULL;
  }
  dat->tep = tracecmd_get_tep(dat->input);
  dat->events = dat->tep != NULL ? tep_list_events(dat->tep, TEP_EVENT_SORT_ID) : NULL;
  if (dat->events == NULL) {
    mmbox_dat_close(dat);
    return NULL;
  }
  return dat;
}

void mmbox_dat_close(struct mmbox_dat* dat) {
  if (dat == NULL)
    return;
  tracecmd_close(dat->input);
  free(dat);
}

int mmbox_dat_long_size(const struct mmbox_dat* dat) {
  return tep_get_header_page_size(dat->tep);
}

bool mmbox_dat_is_old_format(const struct mmbox_dat* dat) {
  return tep_is_old_format(dat->tep);
}

const char* mmbox_dat_event_name(const struct mmbox_dat* dat, int position) {
  return dat->events[position] != NULL ? dat->events[position]->name : NULL;
}

const char* mmbox_dat_event_system(const struct mmbox_dat* dat, int position) {
  return dat->events[position]->system;
}

int mmbox_dat_event_id(const struct mmbox_dat* dat, int position) {
  return dat->events[position]->id;
}

bool mmbox_dat_event_field(const struct mmbox_dat* dat, int position, const char* name, struct mmbox_dat_field* field) {
  const struct tep_format_field* found = tep_find_any_field(dat->events[position], name);
  if (found == NULL || found->offset < 0 || found->size < 0)
    return false;
  field->offset = (uint32_t)found->offset;
  field->size = (uint32_t)found->size;
  field->is_signed = (found->flags & TEP_FIELD_IS_SIGNED) != 0;
  return true;
}

const char* mmbox_dat_comm(const struct mmbox_dat* dat, int pid) {
  const char* comm = tep_data_comm_from_pid(dat->tep, pid);
  return comm != NULL ? comm : "<...>";
}

void mmbox_dat_print(const struct mmbox_dat* dat, const void* data, uint32_t size, char* text, size_t text_size) {
  struct tep_record record;
  memset(&record, 0, sizeof(record));
  record.data = (void*)data;
  record.size = (int)size;
  record.record_size = (int)size;
  record.ref_count = 1;
  struct trace_seq seq;
  trace_seq_init(&seq);
  tep_print_event(dat->tep, &seq, &record, "%s", TEP_PRINT_INFO);
  trace_seq_terminate(&seq);
  const size_t length = seq.len < text_size ? seq.len : text_size - 1;
  memcpy(text, seq.buffer, length);
  text[length] = '\0';
  trace_seq_destroy(&seq);
}
