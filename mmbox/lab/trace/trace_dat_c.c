#include "mmbox/lab/trace/trace_dat_c.h"

#include <stdlib.h>
#include <string.h>
#include <trace-cmd.h>

struct mmbox_dat {
  struct tracecmd_input* input;
  struct tep_handle* tep;
  struct tep_event** events; /* owned by tep */
};

struct mmbox_dat* mmbox_dat_open(int fd) {
  static struct mmbox_dat dat; /* one for the life of the process */
  tracecmd_set_loglevel(TEP_LOG_NONE);
  tep_set_loglevel(TEP_LOG_NONE);
  /* Plugins only print; without them no foreign code is loaded. */
  dat.input = tracecmd_open_fd(fd, TRACECMD_FL_LOAD_NO_PLUGINS);
  if (dat.input == NULL)
    return NULL;
  dat.tep = tracecmd_get_tep(dat.input);
  dat.events = dat.tep != NULL ? tep_list_events(dat.tep, TEP_EVENT_SORT_ID) : NULL;
  return dat.events != NULL ? &dat : NULL;
}

int mmbox_dat_long_size(const struct mmbox_dat* dat) {
  return tep_get_header_page_size(dat->tep);
}

bool mmbox_dat_is_old_format(const struct mmbox_dat* dat) {
  return tep_is_old_format(dat->tep);
}

bool mmbox_dat_event_at(const struct mmbox_dat* dat, int position, struct mmbox_dat_event* event) {
  const struct tep_event* found = dat->events[position];
  if (found == NULL)
    return false;
  event->id = found->id;
  event->name = found->name;
  return true;
}

bool mmbox_dat_field_at(const struct mmbox_dat* dat, int position, int number, struct mmbox_dat_field* field) {
  const struct tep_format* format = &dat->events[position]->format;
  const struct tep_format_field* lists[] = {format->common_fields, format->fields};
  for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); ++i) {
    for (const struct tep_format_field* found = lists[i]; found != NULL; found = found->next) {
      if (number-- != 0)
        continue;
      field->name = found->name;
      field->offset = found->offset;
      field->size = found->size;
      field->is_signed = (found->flags & TEP_FIELD_IS_SIGNED) != 0;
      return true;
    }
  }
  return false;
}

void mmbox_dat_print(const struct mmbox_dat* dat, const void* data, size_t size, char* text, size_t text_size) {
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
