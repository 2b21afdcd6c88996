#include "mmbox/cli/shown_machine.h"

#include <fmt/format.h>

#include <ostream>

#include "mmbox/lab/machine_spec/settings.h"

namespace mmbox::cli {

lab::Expected<ShownMachine> shown_machine(const lab::Snapshot& snapshot) {
  const lab::GenerationChoice choice = lab::generation_of(snapshot);
  lab::Expected<lab::Image> image = lab::image_of(snapshot, *choice.generation);
  if (!image)
    return image.error();
  const lab::Expected<const ProcFormat*> format = lab::proc_format_of(snapshot);
  if (format)
    return ShownMachine{std::move(*image), *format, lab::RecordedCounters{snapshot, **format}, {}, choice.note};
  const std::string doubt = format.error().text() + "; counters of the kernel are shown as 0";
  return ShownMachine{std::move(*image), nearest_format(*choice.generation), {}, doubt, choice.note};
}

const ProcFormat* nearest_format(const Generation& generation) {
  const ProcFormat* const own = proc_format(generation.name);
  return own != nullptr ? own : &proc_formats().front();
}

lab::Expected<Shown> shown(const std::vector<std::string>& views, bool lists, const std::string& zone) {
  Shown result;
  result.lists = lists;
  for (const std::string& name : views) {
    const lab::Expected<lab::View> view = lab::view_named(name);
    if (!view)
      return view.error();
    result.views.push_back(*view);
  }
  if (result.views.empty() && !lists)
    result.views.push_back(lab::View::Buddyinfo);
  if (!zone.empty()) {
    const lab::Expected<lab::ZoneFilter> filter = lab::zone_filter(zone);
    if (!filter)
      return filter.error();
    result.zones = *filter;
  }
  return result;
}

void write_text(ShownMachine& machine, const Shown& what, std::ostream& out) {
  const bool has_titles = what.views.size() + (what.lists ? 1 : 0) > 1;
  const char* gap = "";
  const auto title = [&](std::string_view name) {
    if (has_titles)
      out << gap << "==> " << name << " <==\n";
    gap = "\n";
  };
  for (const lab::View view : what.views) {
    title(lab::info_of(view).path);
    out << lab::view_text(machine.image.machine(), view, *machine.format, &machine.host, what.zones);
  }
  if (what.lists) {
    title("free lists and per-cpu lists, head first");
    out << lab::lists_text(machine.image.machine(), what.zones);
  }
}

nlohmann::ordered_json to_json(ShownMachine& machine, const Shown& what) {
  const Machine& shown = machine.image.machine();
  nlohmann::ordered_json json;
  json["kernel"] = machine.format->generation;
  json["nodes"] = shown.view().nodes.size();
  json["cpus"] = shown.view().cpu_nodes.size();
  for (const lab::SettingInfo& setting : lab::settings()) {
    const auto value = lab::get(shown.tunables(), setting.name, shown.view().zone_types.size());
    if (value)
      json["settings"][std::string{setting.name}] = *value;
  }
  json["views"] = nlohmann::ordered_json::object();
  for (const lab::View view : what.views)
    json["views"][std::string{lab::info_of(view).name}] =
        lab::view_json(shown, view, *machine.format, &machine.host, what.zones);
  if (what.lists)
    json["lists"] = lab::lists_json(shown, what.zones);
  return json;
}

std::string views_help() {
  std::string text = "Views\n";
  for (const lab::ViewInfo& view : lab::views())
    text += fmt::format("  {:<13} {}\n", view.name, view.help);
  return text;
}

}  // namespace mmbox::cli
