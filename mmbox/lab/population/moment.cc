#include "mmbox/lab/population/moment.h"

#include <utility>

#include "mmbox/lab/generations/generations.h"
#include "mmbox/lab/snapshot/script_log.h"

namespace mmbox::lab {

Expected<Moment> load_moment(const std::string& log, const std::string& label) {
  auto snapshot = load_snapshot(log, label);
  if (!snapshot)
    return snapshot.error();
  auto dump = find_page_dump(log, snapshot->label);
  if (!dump)
    return dump.error();
  if (!*dump)
    return Error{.file = log,
                 .message = "the log has no page dump of " + snapshot->label,
                 .remedy = "record the moment with its pages (ctl snapx), or choose a label that has them"};
  const Generation& generation = *generation_of_recording(snapshot->release()).generation;
  return Moment{std::move(*snapshot), std::move(**dump), generation};
}

Expected<PopulatedMachine> populated_machine(const Moment& moment) {
  auto image = image_of(moment.snapshot, moment.generation);
  if (!image)
    return image.error();
  Population pages{image->machine(), moment.dump};
  return PopulatedMachine{moment.snapshot.label, std::move(*image), std::move(pages)};
}

}  // namespace mmbox::lab
