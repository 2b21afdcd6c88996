#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "mmbox/lab/explain/print.h"

namespace mmbox::lab::explain {
namespace {

// Insertion order is the documented order.
using Json = nlohmann::ordered_json;

void append(Json::object_t& /*fields*/) {}

template <class Value, class... Rest>
void append(Json::object_t& fields, const char* key, Value&& value, Rest&&... rest) {
  fields.emplace_back(key, Json(std::forward<Value>(value)));
  append(fields, std::forward<Rest>(rest)...);
}

/// An object of keys and values in turn; keys differ. The library's own lists copy each member.
template <class... Members>
Json object(Members&&... members) {
  Json::object_t fields;
  fields.reserve(sizeof...(members) / 2);
  append(fields, std::forward<Members>(members)...);
  return Json(std::move(fields));
}

Json optional_number(const std::optional<std::int64_t>& value) {
  return value ? Json(*value) : Json(nullptr);
}
Json optional_text(const std::optional<std::string>& value) {
  return value ? Json(*value) : Json(nullptr);
}
Json text_or_null(const std::string& value) {
  return value.empty() ? Json(nullptr) : Json(value);
}

Json attempt_json(const Attempt& attempt) {
  Json json =
      object("mark", attempt.mark_name, "mark_pages", attempt.printed_mark, "mark_lowered_pages", attempt.lowered_mark,
             "without_boost", attempt.without_boost, "deducted",
             object("block", attempt.block_pages, "highatomic", attempt.highatomic_pages, "cma", attempt.cma_pages),
             "left_pages", attempt.left, "lowmem_reserve_pages", attempt.lowmem_reserve, "need_pages", attempt.need,
             "margin_pages", attempt.margin, "check", name_of(attempt.check), "short_by_pages", attempt.short_by,
             "also", Json::array());
  for (const Check also : attempt.also)
    json["also"].push_back(name_of(also));
  if (attempt.is_loop && !attempt.loop_failed_first && attempt.check == Check::HighOrderWatermark)
    json["per_order"] =
        object("order", attempt.loop_failed_order, "left_pages", attempt.loop_left, "mark_pages", attempt.loop_mark);
  return json;
}

Json zone_json(const ZoneFacts& zone) {
  Json blocks = Json::array();
  for (std::size_t order = 0; order < zone.blocks.size(); ++order)
    blocks.push_back(object("order", order, "count", zone.blocks[order].count, "types", zone.blocks[order].letters));
  Json attempts = Json::array();
  for (const Attempt& attempt : zone.attempts)
    attempts.push_back(attempt_json(attempt));
  return object("node", zone.node ? Json(*zone.node) : Json(nullptr), "name", zone.name, "index",
                zone.index ? Json(*zone.index) : Json(nullptr), "eligible", zone.is_eligible, "verdict",
                name_of(zone.check), "short_by_pages", zone.short_by, "free_pages", optional_number(zone.free),
                "boost_pages", optional_number(zone.boost), "boost_inferred", zone.boost_is_inferred, "min_pages",
                optional_number(zone.min), "low_pages", optional_number(zone.low), "high_pages",
                optional_number(zone.high), "reserved_highatomic_pages", optional_number(zone.reserved_highatomic),
                "free_highatomic_pages", optional_number(zone.free_highatomic), "free_cma_pages",
                optional_number(zone.free_cma), "present_pages", optional_number(zone.present), "managed_pages",
                optional_number(zone.managed), "free_pcp_pages", optional_number(zone.free_pcp), "lowmem_reserve_pages",
                zone.lowmem_reserve, "blocks", std::move(blocks), "attempts", std::move(attempts),
                "fragmentation_index", optional_number(zone.fragmentation_index), "unusable_index",
                optional_number(zone.unusable_index), "compaction", optional_text(zone.compaction),
                "reclaimable_file_pages", zone.reclaimable_file, "reclaimable_anon_pages", zone.reclaimable_anon);
}

Json request_json(const Explanation& e) {
  if (!e.request)
    return nullptr;
  const RequestFacts& request = *e.request;
  return object("order", request.order, "bytes", request.bytes, "mask", request.raw_mask, "mask_names",
                request.mask_text, "mask_layout", request.layout_name, "highest_zone",
                zone_type_name(request.highest_zone), "highest_index", request.highest_index, "mobility",
                migratetype_name(request.type), "context",
                object("interrupt", request.context.is_interrupt, "kernel_thread", request.context.is_kernel_thread,
                       "pf_memalloc", request.context.has_pf_memalloc),
                "may_wait", request.gfp.has(gfp::kDirectReclaim), "may_reclaim", request.may_reclaim, "may_compact",
                request.may_compact, "may_do_io", request.may_do_io, "may_enter_fs", request.may_enter_fs,
                "may_use_reserves", request.may_use_reserves, "ignores_watermarks", request.no_watermarks,
                "may_oom_kill", request.may_oom_kill, "nodemask", optional_text(e.report.nodemask), "cpuset",
                optional_text(e.report.cpuset), "mems_allowed", optional_text(e.report.mems_allowed));
}

}  // namespace

std::string to_json(const Explanation& e, std::string_view file) {
  Json zones = Json::array();
  for (const ZoneFacts& zone : e.zones)
    zones.push_back(zone_json(zone));
  Json slow_path = Json::array();
  for (const SlowPathFact& fact : e.slow_path)
    slow_path.push_back(object("what", fact.name, "can", fact.can, "text", fact.text));
  Json remedies = Json::array();
  for (const Remedy& remedy : e.remedies)
    remedies.push_back(object("certainty", remedy.certainty == Certainty::Exact ? "exact" : "likely", "text",
                              remedy.text, "zone", text_or_null(remedy.zone), "margin_pages",
                              optional_number(remedy.margin)));
  const Json json =
      object("file", file.empty() ? Json(nullptr) : Json(std::string{file}), "kind", name_of(e.kind), "line",
             e.report.first_line, "last_line", e.report.last_line, "task", text_or_null(e.report.comm), "kernel",
             e.kernel, "kernel_inferred", e.kernel_is_inferred, "rules", e.rules, "page_bytes", e.page_bytes, "request",
             request_json(e), "verdict",
             object("zone", text_or_null(e.verdict.zone), "check", name_of(e.verdict.check), "short_by_pages",
                    optional_number(e.verdict.short_by), "sentence", e.verdict.sentence),
             "remedies", std::move(remedies), "zones", std::move(zones), "slow_path", std::move(slow_path),
             "confidence", name_of(e.confidence), "missing", e.missing, "notes", e.notes, "torn", e.is_torn);
  // A log may hold bytes that are not UTF-8; they are replaced, not refused.
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace mmbox::lab::explain
