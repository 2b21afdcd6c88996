#include "mmbox/lab/replay/moments.h"

#include <fmt/format.h>

#include <algorithm>

#include "mmbox/lab/generations/generations.h"
#include "mmbox/lab/generations/matrix.h"
#include "mmbox/lab/image/adapt.h"

namespace mmbox::lab {

Expected<Moments> Moments::open(const std::string& log, const std::string& label) {
  auto reader = LogReader::open(log);
  if (!reader)
    return reader.error();
  while (true) {
    auto item = reader->next();
    if (!item)
      return item.error();
    if (!*item)
      break;
    if (auto* snapshot = std::get_if<Snapshot>(&**item);
        snapshot != nullptr && (label.empty() || snapshot->label == label))
      return Moments{std::move(*reader), std::move(*snapshot)};
  }
  return Error{.file = log,
               .message = label.empty() ? "the log holds no snapshot" : fmt::format("no snapshot is called {}", label),
               .remedy = "`mmbox show LOG` lists the snapshots of a log"};
}

std::optional<std::string_view> Moments::label_of(const Marker& marker) {
  constexpr std::string_view kBegin = "mmo: snapshot-begin ";
  const auto at = marker.text.find(kBegin);
  if (at == std::string_view::npos)
    return std::nullopt;
  std::string_view label = marker.text.substr(at + kBegin.size());
  while (!label.empty() && (label.back() == '\n' || label.back() == ' '))
    label.remove_suffix(1);
  return label;
}

Expected<std::optional<Snapshot>> Moments::find(std::string_view label) {
  const auto known = std::ranges::find(ahead_, label, &Snapshot::label);
  if (known != ahead_.end()) {
    Snapshot found = std::move(*known);
    ahead_.erase(ahead_.begin(), known + 1);
    return std::optional{std::move(found)};
  }
  while (!ended_) {
    auto item = reader_.next();
    if (!item)
      return item.error();
    if (!*item) {
      ended_ = true;
      break;
    }
    auto* snapshot = std::get_if<Snapshot>(&**item);
    if (snapshot == nullptr)
      continue;
    if (snapshot->label == label)
      return std::optional{std::move(*snapshot)};
    ahead_.push_back(std::move(*snapshot));
  }
  return std::optional<Snapshot>{};
}

Expected<Image> recorded_image(const Snapshot& snapshot, const std::optional<Generation>& generation,
                               std::vector<std::string>& notes) {
  const GenerationChoice own = generation_of_recording(snapshot.release());
  if (!generation && !own.note.empty() && std::ranges::find(notes, own.note) == notes.end())
    notes.push_back(own.note);
  auto image = image_of(snapshot, *own.generation);
  if (image && generation && !generation_difference(*own.generation, *generation).empty())
    change_generation(image->machine(), *generation);
  return image;
}

Expected<Recording> Recording::open(const std::string& trace, const std::string& log, const std::string& label,
                                    const std::optional<Generation>& generation, std::vector<std::string>& notes) {
  auto moments = Moments::open(log, label);
  if (!moments)
    return std::move(moments).error();
  auto image = recorded_image(moments->start(), generation, notes);
  if (!image)
    return std::move(image).error();
  auto reader = open_trace(trace, {.gfp = nullptr, .migratetypes = moments->start().numbering()});
  if (!reader)
    return std::move(reader).error();
  return Recording{trace, *std::move(moments), *std::move(image), *std::move(reader)};
}

}  // namespace mmbox::lab
