#include "mmbox/cli/shown_machine.h"

#include <fmt/format.h>

#include <ostream>

#include "mmbox/cli/chosen_generation.h"
#include "mmbox/lab/generations/generations.h"
#include "mmbox/lab/image/boot.h"
#include "mmbox/lab/machine_spec/machine_spec.h"
#include "mmbox/lab/machine_spec/settings.h"
#include "mmbox/lab/snapshot/script_log.h"

namespace mmbox::cli {

lab::Expected<ShownMachine> shown_machine(const lab::Snapshot& snapshot) {
  const lab::GenerationChoice choice = lab::generation_of_recording(snapshot.release());
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

namespace {

lab::Expected<ShownMachine> described(const std::vector<std::string>& words, const std::string& generation) {
  lab::Expected<lab::MachineSpec> spec = lab::load_machine(fmt::format("{}", fmt::join(words, " ")));
  if (!spec)
    return spec.error();
  if (!generation.empty()) {
    const auto chosen = chosen_generation(generation);
    if (!chosen)
      return chosen.error();
    spec->generation = **chosen;
  }
  lab::Expected<lab::Image> image = lab::boot_machine(*spec);
  if (!image) {
    // The description's reader names the place of what it refuses; what the engine refuses has only the description.
    if (image.error().file.empty())
      image.error().file = fmt::format("{}", fmt::join(words, " "));
    return image.error();
  }
  const ProcFormat* const format = nearest_format(spec->generation);
  std::string doubt;
  if (proc_format(spec->generation.name) == nullptr)
    doubt = fmt::format("no files of {} are recorded; printed as {} does", spec->generation.name, format->generation);
  return ShownMachine{std::move(*image), format, {}, std::move(doubt), {}};
}

/// Writes settings as a user would into /proc/sys/vm, one after another.
lab::Expected<void> apply(const std::vector<std::string>& settings, Machine& machine) {
  for (const std::string& setting : settings) {
    const std::size_t equals = setting.find('=');
    if (equals == std::string::npos)
      return lab::Error{.file = "--set " + setting,
                        .message = "no value",
                        .remedy = "write NAME=VALUE, as in vm.min_free_kbytes=65536"};
    Tunables tunables = machine.tunables();
    lab::Expected<void> written =
        lab::set(tunables, std::string_view{setting}.substr(0, equals), std::string_view{setting}.substr(equals + 1));
    if (!written) {
      lab::Error error = written.error();
      error.file = "--set " + setting;
      return error;
    }
    machine.set_tunables(tunables);
  }
  return {};
}

}  // namespace

lab::Expected<ShownMachine> asked_machine(const std::vector<std::string>& words, const std::string& snapshot,
                                          const std::vector<std::string>& settings, const std::string& generation) {
  if (words.empty() == snapshot.empty())
    return lab::Error{.message = words.empty() ? "no machine is given" : "two machines are given",
                      .remedy = "give either a description, as 64G or a .toml file, or --snapshot FILE[:LABEL]"};
  if (!snapshot.empty() && !generation.empty())
    return lab::Error{.file = "--generation " + generation,
                      .message = "a snapshot is of one kernel, whose rules it gets",
                      .remedy =
                          "leave --generation out; `mmbox replay … --generation NAME --free` shows what another "
                          "kernel does with a recorded demand"};
  const LogMoment moment = log_moment(snapshot);
  lab::Expected<ShownMachine> machine = [&]() -> lab::Expected<ShownMachine> {
    if (snapshot.empty())
      return described(words, generation);
    const lab::Expected<lab::Snapshot> recorded = lab::load_snapshot(moment.file, moment.label);
    return recorded ? shown_machine(*recorded) : lab::Expected<ShownMachine>{recorded.error()};
  }();
  if (machine)
    if (const lab::Expected<void> applied = apply(settings, machine->image.machine()); !applied)
      return applied.error();
  return machine;
}

}  // namespace mmbox::cli
