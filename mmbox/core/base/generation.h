// The modelled kernels: what each of them chose, policy by policy.
//
// The enumerations, and what each value means, are in policy.h. docs/generations.md has the same table side by side.
#pragma once

#include "mmbox/core/base/policy.h"

namespace mmbox {

/// Long-term 3.10 (3.10.105), by specification: no kernel of it has been recorded.
inline constexpr Generation kLinux310{
    .name = "linux-3.10",
    .requests =
        {
            .isolation_mark = IsolationMark::Overwrites,
            .type_order = TypeOrder::ReclaimableSecond,
            .mobility_off_filter = MobilityOffFilter::EveryType,
            .pin_scope = PinScope::Unknown,
            .scopes = ScopeRule::NoIoInSlowPath,
            .cpuset = CpusetRule::FlagAlways,
            .too_large_order = TooLargeOrder::InSlowPath,
        },
    .boot =
        {
            .chunk = BootChunk::Word64,
            .place = BootPlace::FreeRule,
            .memmap_movable = MemmapMovable::AnyStructPage,
            .zonelist_members = ZonelistMembers::Present,
            .zonelist_order = ZonelistOrder::Heuristic,
            .node_load = NodeLoadRule::Rank,
            .min_free_cap_kbytes = 65536,
            .user_min_free = UserMinFree::Overwritten,
            .khugepaged_zones = KhugepagedZones::All,
            .watermark_gaps = WatermarkGaps::Quarters,
            .movable_zone_marks = MovableZoneMarks::AsLowmem,
            .lowmem_ratio = LowmemRatio::AtLeastOne,
        },
    .watermark =
        {
            .rule = WatermarkRule::Loop,
            .fast = WatermarkFastRule::None,
            .boost_exception = BoostException::None,
        },
    .walk =
        {
            .full_zones = FullZoneCache::OneSecond,
            .high_mark_first = HighMarkFirst::No,
            .kswapd = KswapdPreference::None,
            .lowmem_index = LowmemIndex::Preferred,
            .no_fragment = NoFragment::Off,
            .defrag_mode = DefragMode::Absent,
            .reclaim_gate = ReclaimGate::AnyBit,
            .bulk_api = BulkApi::Absent,
        },
    .take =
        {
            .fallback = FallbackRule::Take,
            .movable_pages = MovablePages::Lru,
            .block_move_place = MovePlace::Head,
            .single_place = MovePlace::Head,
            .cma_after_own = CmaAfterOwn::InFallbackTable,
            .cma_balance = CmaBalance::Off,
            .boost = FallbackBoost::Off,
            .boost_consumer = BoostConsumer::AnyRequest,
        },
    .reserve =
        {
            .kind = ReserveKind::ReserveBlocks,
            .atomic_rule = AtomicRule::NoWait,
            .deduction = ReserveDeduction::ReservedBlocks,
            .refill = ReserveRefill::Allowed,
            .when = ReserveWhen::AnySuccess,
            .limit = ReserveLimit::PercentAndBlock,
            .extent = ReserveExtent::OneBlock,
        },
    .pcp =
        {
            .lists = PcpLists::OrderZero,
            .sizing = PcpSizing::SixBatchesOf512K,
            .control = PcpControl::FixedBatch,
            .free_factor_max = 0,
            .heavy_free = PcpHeavyFree::Batch,
            .returns = PcpReturn::AtOnce,
            .bulk_order = PcpBulkOrder::Rotate,
            .type = PcpType::Cached,
            .without_cma = PcpWithoutCma::PerCpu,
            .cold = ColdPages::GfpCold,
            .drain = PcpDrain::Everything,
        },
    .free =
        {
            .merge = MergeRule::Always,
            .largest = LargestFree::Whole,
            .ranges = RangeFree::PageByPage,
            .exact_trim = ExactTrim::PerCpu,
            .shared_first_page = SharedFirstPage::Leaks,
            .lists = ListFree::OnePass,
            .counters = CounterTiming::PerRequest,
            .block_counter = BlockCounter::Absent,
            .isolate_free_mark = IsolateFreeMark::Low,
            .isolation = PageblockIsolation::DrainAll,
            .capture = CaptureRule::Off,
        },
    .slow =
        {
            .order = SlowPathOrder::Restarts,
            .no_retry_exit = NoRetryExit::None,
            .try_after_compaction = TryAfterCompaction::UnlessSkipped,
            .withdrawn = WithdrawnCompaction::Raises,
            .oom_victim = OomVictim::NoWatermarks,
            .reserve_flags_kswapd = ReserveFlagsKswapd::Lost,
            .privileged_list = PrivilegedList::OwnNode,
            .last_unreserve = LastUnreserve::AfterManyLoops,
            .nothing_reclaimable = NothingReclaimable::Zero,
            .compact_without_io = CompactWithoutIo::Skips,
            .kswapd_wake = KswapdWake::EachZone,
            .refused_wake = RefusedWake::Nothing,
            .hopeless_node = HopelessNode::StaysSo,
        },
};

/// 4.12, by specification: no kernel of it has been recorded.
inline constexpr Generation kLinux412{
    .name = "linux-4.12",
    .requests =
        {
            .isolation_mark = IsolationMark::Overwrites,
            .type_order = TypeOrder::MovableSecond,
            .mobility_off_filter = MobilityOffFilter::GroupedTypes,
            .pin_scope = PinScope::Unknown,
            .scopes = ScopeRule::InSlowPath,
            .cpuset = CpusetRule::NodemaskAlways,
            .too_large_order = TooLargeOrder::InSlowPath,
        },
    .boot =
        {
            .chunk = BootChunk::LargestBlock,
            .place = BootPlace::FreeRule,
            .memmap_movable = MemmapMovable::AnyStructPage,
            .zonelist_members = ZonelistMembers::Managed,
            .zonelist_order = ZonelistOrder::Node,
            .node_load = NodeLoadRule::Rank,
            .min_free_cap_kbytes = 65536,
            .user_min_free = UserMinFree::KeptIfNotLower,
            .khugepaged_zones = KhugepagedZones::All,
            .watermark_gaps = WatermarkGaps::Scaled,
            .movable_zone_marks = MovableZoneMarks::AsLowmem,
            .lowmem_ratio = LowmemRatio::AtLeastOne,
        },
    .watermark =
        {
            .rule = WatermarkRule::Harder,
            .fast = WatermarkFastRule::CmaOnly,
            .boost_exception = BoostException::None,
        },
    .walk =
        {
            .full_zones = FullZoneCache::Off,
            .high_mark_first = HighMarkFirst::No,
            .kswapd = KswapdPreference::None,
            .lowmem_index = LowmemIndex::Preferred,
            .no_fragment = NoFragment::Off,
            .defrag_mode = DefragMode::Absent,
            .reclaim_gate = ReclaimGate::AnyBit,
            .bulk_api = BulkApi::Absent,
        },
    .take =
        {
            .fallback = FallbackRule::Move,
            .movable_pages = MovablePages::Lru,
            .block_move_place = MovePlace::Head,
            .single_place = MovePlace::Head,
            .cma_after_own = CmaAfterOwn::Movable,
            .cma_balance = CmaBalance::Off,
            .boost = FallbackBoost::Off,
            .boost_consumer = BoostConsumer::AnyRequest,
        },
    .reserve =
        {
            .kind = ReserveKind::HighAtomic,
            .atomic_rule = AtomicRule::GfpAtomic,
            .deduction = ReserveDeduction::ReservedBlocks,
            .refill = ReserveRefill::Allowed,
            .when = ReserveWhen::AnySuccess,
            .limit = ReserveLimit::PercentAndBlock,
            .extent = ReserveExtent::OneBlock,
        },
    .pcp =
        {
            .lists = PcpLists::OrderZero,
            .sizing = PcpSizing::SixBatchesOf512K,
            .control = PcpControl::FixedBatch,
            .free_factor_max = 0,
            .heavy_free = PcpHeavyFree::Batch,
            .returns = PcpReturn::AtOnce,
            .bulk_order = PcpBulkOrder::Rotate,
            .type = PcpType::CachedUnlessIsolated,
            .without_cma = PcpWithoutCma::PerCpu,
            .cold = ColdPages::GfpCold,
            .drain = PcpDrain::Everything,
        },
    .free =
        {
            .merge = MergeRule::ApartIfIsolated,
            .largest = LargestFree::Whole,
            .ranges = RangeFree::PageByPage,
            .exact_trim = ExactTrim::PerCpu,
            .shared_first_page = SharedFirstPage::Leaks,
            .lists = ListFree::OnePass,
            .counters = CounterTiming::PerRequest,
            .block_counter = BlockCounter::Absent,
            .isolate_free_mark = IsolateFreeMark::MinWithBoost,
            .isolation = PageblockIsolation::DrainZone,
            .capture = CaptureRule::Off,
        },
    .slow =
        {
            .order = SlowPathOrder::EarlyCompact,
            .no_retry_exit = NoRetryExit::Deferred,
            .try_after_compaction = TryAfterCompaction::UnlessSkippedOrDeferred,
            .withdrawn = WithdrawnCompaction::AsksSuitability,
            .oom_victim = OomVictim::NoWatermarks,
            .reserve_flags_kswapd = ReserveFlagsKswapd::Lost,
            .privileged_list = PrivilegedList::OwnNode,
            .last_unreserve = LastUnreserve::AfterManyLoops,
            .nothing_reclaimable = NothingReclaimable::Zero,
            .compact_without_io = CompactWithoutIo::Skips,
            .kswapd_wake = KswapdWake::EachNode,
            .refused_wake = RefusedWake::Nothing,
            .hopeless_node = HopelessNode::StaysSo,
        },
};

/// Debian's 5.10.223.
inline constexpr Generation kLinux510{
    .name = "linux-5.10",
    .requests =
        {
            .isolation_mark = IsolationMark::Overwrites,
            .type_order = TypeOrder::MovableSecond,
            .mobility_off_filter = MobilityOffFilter::GroupedTypes,
            .pin_scope = PinScope::NoCma,
            .scopes = ScopeRule::InSlowPath,
            .cpuset = CpusetRule::NodemaskInTask,
            .too_large_order = TooLargeOrder::AtOnce,
        },
    .boot =
        {
            .chunk = BootChunk::LargestBlock,
            .place = BootPlace::Tail,
            .memmap_movable = MemmapMovable::MemoryOnly,
            .zonelist_members = ZonelistMembers::Present,
            .zonelist_order = ZonelistOrder::Node,
            .node_load = NodeLoadRule::Rank,
            .min_free_cap_kbytes = 262144,
            .user_min_free = UserMinFree::KeptIfNotLower,
            .khugepaged_zones = KhugepagedZones::UpToNormal,
            .watermark_gaps = WatermarkGaps::Scaled,
            .movable_zone_marks = MovableZoneMarks::AsLowmem,
            .lowmem_ratio = LowmemRatio::ZeroIsOff,
        },
    .watermark =
        {
            .rule = WatermarkRule::HarderOom,
            .fast = WatermarkFastRule::AllDeductions,
            .boost_exception = BoostException::GfpAtomic,
        },
    .walk =
        {
            .full_zones = FullZoneCache::Off,
            .high_mark_first = HighMarkFirst::No,
            .kswapd = KswapdPreference::None,
            .lowmem_index = LowmemIndex::Request,
            .no_fragment = NoFragment::BelowPageblock,
            .defrag_mode = DefragMode::Absent,
            .reclaim_gate = ReclaimGate::AnyBit,
            .bulk_api = BulkApi::Absent,
        },
    .take =
        {
            .fallback = FallbackRule::MoveSmallest,
            .movable_pages = MovablePages::LruAndOrderOneTails,
            .block_move_place = MovePlace::Tail,
            .single_place = MovePlace::Tail,
            .cma_after_own = CmaAfterOwn::CmaFlag,
            .cma_balance = CmaBalance::MoreThanHalf,
            .boost = FallbackBoost::On,
            .boost_consumer = BoostConsumer::AnyRequest,
        },
    .reserve =
        {
            .kind = ReserveKind::HighAtomic,
            .atomic_rule = AtomicRule::GfpAtomic,
            .deduction = ReserveDeduction::ReservedBlocks,
            .refill = ReserveRefill::Allowed,
            .when = ReserveWhen::AnySuccess,
            .limit = ReserveLimit::PercentAndBlock,
            .extent = ReserveExtent::OneBlock,
        },
    .pcp =
        {
            .lists = PcpLists::OrderZero,
            .sizing = PcpSizing::SixBatchesOf1M,
            .control = PcpControl::FixedBatch,
            .free_factor_max = 0,
            .heavy_free = PcpHeavyFree::Batch,
            .returns = PcpReturn::AtOnce,
            .bulk_order = PcpBulkOrder::Rotate,
            .type = PcpType::CachedUnlessIsolated,
            .without_cma = PcpWithoutCma::FreeLists,
            .cold = ColdPages::Absent,
            .drain = PcpDrain::Everything,
        },
    .free =
        {
            .merge = MergeRule::ApartIfIsolated,
            .largest = LargestFree::Whole,
            .ranges = RangeFree::PageByPage,
            .exact_trim = ExactTrim::PerCpu,
            .shared_first_page = SharedFirstPage::FreesRest,
            .lists = ListFree::IsolatedInPlace,
            .counters = CounterTiming::PerRequest,
            .block_counter = BlockCounter::Absent,
            .isolate_free_mark = IsolateFreeMark::RawMin,
            .isolation = PageblockIsolation::TailDrain,
            .capture = CaptureRule::NotMovableBlocks,
        },
    .slow =
        {
            .order = SlowPathOrder::EarlyCompact,
            .no_retry_exit = NoRetryExit::SkippedOrDeferred,
            .try_after_compaction = TryAfterCompaction::Always,
            .withdrawn = WithdrawnCompaction::Raises,
            .oom_victim = OomVictim::OomFlag,
            .reserve_flags_kswapd = ReserveFlagsKswapd::Lost,
            .privileged_list = PrivilegedList::AllNodes,
            .last_unreserve = LastUnreserve::AfterManyLoops,
            .nothing_reclaimable = NothingReclaimable::Zero,
            .compact_without_io = CompactWithoutIo::NotAsked,
            .kswapd_wake = KswapdWake::EachNode,
            .refused_wake = RefusedWake::Kcompactd,
            .hopeless_node = HopelessNode::StaysSo,
        },
};

/// The first release of the 6.1 series, by specification; 6.1.192 differs in the rows that changed in between.
inline constexpr Generation kLinux610{
    .name = "linux-6.1.0",
    .requests =
        {
            .isolation_mark = IsolationMark::Overwrites,
            .type_order = TypeOrder::MovableSecond,
            .mobility_off_filter = MobilityOffFilter::GroupedTypes,
            .pin_scope = PinScope::NotMovable,
            .scopes = ScopeRule::BeforeFirstAttempt,
            .cpuset = CpusetRule::NodemaskInTask,
            .too_large_order = TooLargeOrder::AtOnce,
        },
    .boot =
        {
            .chunk = BootChunk::LargestBlock,
            .place = BootPlace::Tail,
            .memmap_movable = MemmapMovable::MemoryOnly,
            .zonelist_members = ZonelistMembers::Present,
            .zonelist_order = ZonelistOrder::Node,
            .node_load = NodeLoadRule::PlusOne,
            .min_free_cap_kbytes = 262144,
            .user_min_free = UserMinFree::KeptIfNotLower,
            .khugepaged_zones = KhugepagedZones::UpToNormal,
            .watermark_gaps = WatermarkGaps::ScaledAndPromo,
            .movable_zone_marks = MovableZoneMarks::AsLowmem,
            .lowmem_ratio = LowmemRatio::ZeroIsOff,
        },
    .watermark =
        {
            .rule = WatermarkRule::HarderOom,
            .fast = WatermarkFastRule::AllDeductions,
            .boost_exception = BoostException::GfpAtomic,
        },
    .walk =
        {
            .full_zones = FullZoneCache::Off,
            .high_mark_first = HighMarkFirst::No,
            .kswapd = KswapdPreference::None,
            .lowmem_index = LowmemIndex::Request,
            .no_fragment = NoFragment::SmallerRequests,
            .defrag_mode = DefragMode::Absent,
            .reclaim_gate = ReclaimGate::KnownBits,
            .bulk_api = BulkApi::WholeRequest,
        },
    .take =
        {
            .fallback = FallbackRule::MoveSmallest,
            .movable_pages = MovablePages::Lru,
            .block_move_place = MovePlace::Tail,
            .single_place = MovePlace::Tail,
            .cma_after_own = CmaAfterOwn::CmaFlag,
            .cma_balance = CmaBalance::MoreThanHalf,
            .boost = FallbackBoost::On,
            .boost_consumer = BoostConsumer::AnyRequest,
        },
    .reserve =
        {
            .kind = ReserveKind::HighAtomic,
            .atomic_rule = AtomicRule::GfpAtomic,
            .deduction = ReserveDeduction::ReservedBlocks,
            .refill = ReserveRefill::Allowed,
            .when = ReserveWhen::AnySuccess,
            .limit = ReserveLimit::PercentAndBlock,
            .extent = ReserveExtent::OneBlock,
        },
    .pcp =
        {
            .lists = PcpLists::SharedHuge,
            .sizing = PcpSizing::LowMark,
            .control = PcpControl::FreeFactor,
            .free_factor_max = 255,
            .heavy_free = PcpHeavyFree::Batch,
            .returns = PcpReturn::AtOnce,
            .bulk_order = PcpBulkOrder::OwnList,
            .type = PcpType::CachedUnlessIsolated,
            .without_cma = PcpWithoutCma::FreeLists,
            .cold = ColdPages::Absent,
            .drain = PcpDrain::Everything,
        },
    .free =
        {
            .merge = MergeRule::ApartIfSetApart,
            .largest = LargestFree::Whole,
            .ranges = RangeFree::PageByPage,
            .exact_trim = ExactTrim::FreeListsTail,
            .shared_first_page = SharedFirstPage::FreesRest,
            .lists = ListFree::IsolatedFirst,
            .counters = CounterTiming::PerRequest,
            .block_counter = BlockCounter::Absent,
            .isolate_free_mark = IsolateFreeMark::RawMin,
            .isolation = PageblockIsolation::SplitRange,
            .capture = CaptureRule::NotMovableBlocks,
        },
    .slow =
        {
            .order = SlowPathOrder::EarlyCompact,
            .no_retry_exit = NoRetryExit::AlsoThisNode,
            .try_after_compaction = TryAfterCompaction::UnlessSkipped,
            .withdrawn = WithdrawnCompaction::Raises,
            .oom_victim = OomVictim::OomFlag,
            .reserve_flags_kswapd = ReserveFlagsKswapd::Kept,
            .privileged_list = PrivilegedList::AllNodes,
            .last_unreserve = LastUnreserve::AfterManyLoops,
            .nothing_reclaimable = NothingReclaimable::FreePages,
            .compact_without_io = CompactWithoutIo::Skips,
            .kswapd_wake = KswapdWake::EachNode,
            .refused_wake = RefusedWake::Kcompactd,
            .hopeless_node = HopelessNode::StaysSo,
        },
};

/// Debian's 6.1.192, the reference.
inline constexpr Generation kLinux61{
    .name = "linux-6.1",
    .requests =
        {
            .isolation_mark = IsolationMark::Overwrites,
            .type_order = TypeOrder::MovableSecond,
            .mobility_off_filter = MobilityOffFilter::GroupedTypes,
            .pin_scope = PinScope::NotMovable,
            .scopes = ScopeRule::BeforeFirstAttempt,
            .cpuset = CpusetRule::NodemaskInTask,
            .too_large_order = TooLargeOrder::AtOnce,
        },
    .boot =
        {
            .chunk = BootChunk::LargestBlock,
            .place = BootPlace::Tail,
            .memmap_movable = MemmapMovable::MemoryOnly,
            .zonelist_members = ZonelistMembers::Present,
            .zonelist_order = ZonelistOrder::Node,
            .node_load = NodeLoadRule::PlusOne,
            .min_free_cap_kbytes = 262144,
            .user_min_free = UserMinFree::KeptIfNotLower,
            .khugepaged_zones = KhugepagedZones::UpToNormal,
            .watermark_gaps = WatermarkGaps::ScaledAndPromo,
            .movable_zone_marks = MovableZoneMarks::AsLowmem,
            .lowmem_ratio = LowmemRatio::ZeroIsOff,
        },
    .watermark =
        {
            .rule = WatermarkRule::Reserves,
            .fast = WatermarkFastRule::AllDeductions,
            .boost_exception = BoostException::GfpAtomic,
        },
    .walk =
        {
            .full_zones = FullZoneCache::Off,
            .high_mark_first = HighMarkFirst::No,
            .kswapd = KswapdPreference::None,
            .lowmem_index = LowmemIndex::Request,
            .no_fragment = NoFragment::SmallerRequests,
            .defrag_mode = DefragMode::Absent,
            .reclaim_gate = ReclaimGate::KnownBits,
            .bulk_api = BulkApi::WholeRequest,
        },
    .take =
        {
            .fallback = FallbackRule::MoveSmallest,
            .movable_pages = MovablePages::Lru,
            .block_move_place = MovePlace::Tail,
            .single_place = MovePlace::Tail,
            .cma_after_own = CmaAfterOwn::CmaFlag,
            .cma_balance = CmaBalance::MoreThanHalf,
            .boost = FallbackBoost::On,
            .boost_consumer = BoostConsumer::AnyRequest,
        },
    .reserve =
        {
            .kind = ReserveKind::HighAtomic,
            .atomic_rule = AtomicRule::NonBlock,
            .deduction = ReserveDeduction::ReservedBlocks,
            .refill = ReserveRefill::Allowed,
            .when = ReserveWhen::AnySuccess,
            .limit = ReserveLimit::PercentAndBlock,
            .extent = ReserveExtent::OneBlock,
        },
    .pcp =
        {
            .lists = PcpLists::SplitHuge,
            .sizing = PcpSizing::LowMark,
            .control = PcpControl::FreeFactor,
            .free_factor_max = 5,
            .heavy_free = PcpHeavyFree::Batch,
            .returns = PcpReturn::AtOnce,
            .bulk_order = PcpBulkOrder::OwnList,
            .type = PcpType::CachedUnlessIsolated,
            .without_cma = PcpWithoutCma::FreeLists,
            .cold = ColdPages::Absent,
            .drain = PcpDrain::ManyBatches,
        },
    .free =
        {
            .merge = MergeRule::ApartIfSetApart,
            .largest = LargestFree::Whole,
            .ranges = RangeFree::PageByPage,
            .exact_trim = ExactTrim::FreeListsTail,
            .shared_first_page = SharedFirstPage::FreesRest,
            .lists = ListFree::IsolatedFirst,
            .counters = CounterTiming::PerRequest,
            .block_counter = BlockCounter::Absent,
            .isolate_free_mark = IsolateFreeMark::RawMin,
            .isolation = PageblockIsolation::SplitRange,
            .capture = CaptureRule::NotMovableBlocks,
        },
    .slow =
        {
            .order = SlowPathOrder::EarlyCompact,
            .no_retry_exit = NoRetryExit::AlsoThisNode,
            .try_after_compaction = TryAfterCompaction::UnlessSkipped,
            .withdrawn = WithdrawnCompaction::Raises,
            .oom_victim = OomVictim::OomFlag,
            .reserve_flags_kswapd = ReserveFlagsKswapd::Kept,
            .privileged_list = PrivilegedList::AllNodes,
            .last_unreserve = LastUnreserve::OnEveryNo,
            .nothing_reclaimable = NothingReclaimable::FreePages,
            .compact_without_io = CompactWithoutIo::NotAsked,
            .kswapd_wake = KswapdWake::EachNode,
            .refused_wake = RefusedWake::Kcompactd,
            .hopeless_node = HopelessNode::StaysSo,
        },
};

/// Debian's 6.12.95, which has the claim and steal of 6.15 and the exact deduction of the reserve of 6.13.
inline constexpr Generation kLinux612{
    .name = "linux-6.12",
    .requests =
        {
            .isolation_mark = IsolationMark::Overwrites,
            .type_order = TypeOrder::MovableSecond,
            .mobility_off_filter = MobilityOffFilter::GroupedTypes,
            .pin_scope = PinScope::NotMovable,
            .scopes = ScopeRule::BeforeFirstAttempt,
            .cpuset = CpusetRule::NodemaskInTask,
            .too_large_order = TooLargeOrder::AtOnce,
        },
    .boot =
        {
            .chunk = BootChunk::LargestBlock,
            .place = BootPlace::Tail,
            .memmap_movable = MemmapMovable::MemoryOnly,
            .zonelist_members = ZonelistMembers::Present,
            .zonelist_order = ZonelistOrder::Node,
            .node_load = NodeLoadRule::PlusOne,
            .min_free_cap_kbytes = 262144,
            .user_min_free = UserMinFree::KeptIfNotLower,
            .khugepaged_zones = KhugepagedZones::UpToNormal,
            .watermark_gaps = WatermarkGaps::ScaledAndPromo,
            .movable_zone_marks = MovableZoneMarks::OwnSmall,
            .lowmem_ratio = LowmemRatio::ZeroIsOff,
        },
    .watermark =
        {
            .rule = WatermarkRule::Reserves,
            .fast = WatermarkFastRule::AllDeductions,
            .boost_exception = BoostException::MinReserve,
        },
    .walk =
        {
            .full_zones = FullZoneCache::Off,
            .high_mark_first = HighMarkFirst::Yes,
            .kswapd = KswapdPreference::None,
            .lowmem_index = LowmemIndex::Request,
            .no_fragment = NoFragment::SmallerRequests,
            .defrag_mode = DefragMode::Absent,
            .reclaim_gate = ReclaimGate::KnownBits,
            .bulk_api = BulkApi::WholeRequest,
        },
    .take =
        {
            .fallback = FallbackRule::ClaimSteal,
            .movable_pages = MovablePages::Lru,
            .block_move_place = MovePlace::Tail,
            .single_place = MovePlace::Tail,
            .cma_after_own = CmaAfterOwn::CmaFlag,
            .cma_balance = CmaBalance::MoreThanHalf,
            .boost = FallbackBoost::On,
            .boost_consumer = BoostConsumer::KswapdRight,
        },
    .reserve =
        {
            .kind = ReserveKind::HighAtomic,
            .atomic_rule = AtomicRule::NonBlock,
            .deduction = ReserveDeduction::FreePages,
            .refill = ReserveRefill::Allowed,
            .when = ReserveWhen::AnySuccess,
            .limit = ReserveLimit::RoundedPercent,
            .extent = ReserveExtent::AllBlocks,
        },
    .pcp =
        {
            .lists = PcpLists::SplitHuge,
            .sizing = PcpSizing::Range,
            .control = PcpControl::Tuned,
            .free_factor_max = 0,
            .heavy_free = PcpHeavyFree::Batch,
            .returns = PcpReturn::AtOnce,
            .bulk_order = PcpBulkOrder::OwnList,
            .type = PcpType::Pageblock,
            .without_cma = PcpWithoutCma::PerCpu,
            .cold = ColdPages::Absent,
            .drain = PcpDrain::ManyBatches,
        },
    .free =
        {
            .merge = MergeRule::RetypesBuddy,
            .largest = LargestFree::Pageblocks,
            .ranges = RangeFree::PageByPage,
            .exact_trim = ExactTrim::FreeListsTail,
            .shared_first_page = SharedFirstPage::FreesRest,
            .lists = ListFree::FolioBatch,
            .counters = CounterTiming::PerBlock,
            .block_counter = BlockCounter::Absent,
            .isolate_free_mark = IsolateFreeMark::RawMin,
            .isolation = PageblockIsolation::WholeBlocks,
            .capture = CaptureRule::MovableForMovable,
        },
    .slow =
        {
            .order = SlowPathOrder::EarlyCompact,
            .no_retry_exit = NoRetryExit::AlsoThisNode,
            .try_after_compaction = TryAfterCompaction::UnlessSkipped,
            .withdrawn = WithdrawnCompaction::Raises,
            .oom_victim = OomVictim::OomFlag,
            .reserve_flags_kswapd = ReserveFlagsKswapd::Kept,
            .privileged_list = PrivilegedList::AllNodes,
            .last_unreserve = LastUnreserve::OnEveryNo,
            .nothing_reclaimable = NothingReclaimable::FreePages,
            .compact_without_io = CompactWithoutIo::NotAsked,
            .kswapd_wake = KswapdWake::EachNode,
            .refused_wake = RefusedWake::Kcompactd,
            .hopeless_node = HopelessNode::StaysSo,
        },
};

/// Debian's 7.2.13.
inline constexpr Generation kLinux72{
    .name = "linux-7.2",
    .requests =
        {
            .isolation_mark = IsolationMark::Covers,
            .type_order = TypeOrder::MovableSecond,
            .mobility_off_filter = MobilityOffFilter::GroupedTypes,
            .pin_scope = PinScope::NotMovable,
            .scopes = ScopeRule::BeforeFirstAttempt,
            .cpuset = CpusetRule::NodemaskInTask,
            .too_large_order = TooLargeOrder::AtOnce,
        },
    .boot =
        {
            .chunk = BootChunk::LargestBlock,
            .place = BootPlace::Tail,
            .memmap_movable = MemmapMovable::MemoryOnly,
            .zonelist_members = ZonelistMembers::Present,
            .zonelist_order = ZonelistOrder::Node,
            .node_load = NodeLoadRule::PlusOne,
            .min_free_cap_kbytes = 262144,
            .user_min_free = UserMinFree::KeptIfNotLower,
            .khugepaged_zones = KhugepagedZones::UpToNormal,
            .watermark_gaps = WatermarkGaps::ScaledAndPromo,
            .movable_zone_marks = MovableZoneMarks::OwnSmall,
            .lowmem_ratio = LowmemRatio::ZeroIsOff,
        },
    .watermark =
        {
            .rule = WatermarkRule::Reserves,
            .fast = WatermarkFastRule::AllDeductions,
            .boost_exception = BoostException::MinReserve,
        },
    .walk =
        {
            .full_zones = FullZoneCache::Off,
            .high_mark_first = HighMarkFirst::Yes,
            .kswapd = KswapdPreference::IdleFirst,
            .lowmem_index = LowmemIndex::Request,
            .no_fragment = NoFragment::SmallerRequests,
            .defrag_mode = DefragMode::Sysctl,
            .reclaim_gate = ReclaimGate::KnownBits,
            .bulk_api = BulkApi::StillWanted,
        },
    .take =
        {
            .fallback = FallbackRule::ClaimSteal,
            .movable_pages = MovablePages::Lru,
            .block_move_place = MovePlace::Tail,
            .single_place = MovePlace::Tail,
            .cma_after_own = CmaAfterOwn::CmaFlag,
            .cma_balance = CmaBalance::MoreThanHalf,
            .boost = FallbackBoost::On,
            .boost_consumer = BoostConsumer::KswapdRight,
        },
    .reserve =
        {
            .kind = ReserveKind::HighAtomic,
            .atomic_rule = AtomicRule::NonBlock,
            .deduction = ReserveDeduction::FreePages,
            .refill = ReserveRefill::Refused,
            .when = ReserveWhen::FreeListOnly,
            .limit = ReserveLimit::RoundedPercent,
            .extent = ReserveExtent::AllBlocks,
        },
    .pcp =
        {
            .lists = PcpLists::SplitHuge,
            .sizing = PcpSizing::Range,
            .control = PcpControl::Tuned,
            .free_factor_max = 0,
            .heavy_free = PcpHeavyFree::BatchAndHalfHighMin,
            .returns = PcpReturn::Batches,
            .bulk_order = PcpBulkOrder::OwnList,
            .type = PcpType::Pageblock,
            .without_cma = PcpWithoutCma::PerCpu,
            .cold = ColdPages::Absent,
            .drain = PcpDrain::ManyBatches,
        },
    .free =
        {
            .merge = MergeRule::RetypesBuddy,
            .largest = LargestFree::Pageblocks,
            .ranges = RangeFree::AlignedBlocks,
            .exact_trim = ExactTrim::FreeListsTail,
            .shared_first_page = SharedFirstPage::FreesRest,
            .lists = ListFree::FolioBatch,
            .counters = CounterTiming::PerBlock,
            .block_counter = BlockCounter::Kept,
            .isolate_free_mark = IsolateFreeMark::RawMin,
            .isolation = PageblockIsolation::WholeBlocks,
            .capture = CaptureRule::MovableForMovable,
        },
    .slow =
        {
            .order = SlowPathOrder::OneLoop,
            .no_retry_exit = NoRetryExit::OnlyThisNode,
            .try_after_compaction = TryAfterCompaction::UnlessSkippedOrDeferred,
            .withdrawn = WithdrawnCompaction::Raises,
            .oom_victim = OomVictim::OomFlag,
            .reserve_flags_kswapd = ReserveFlagsKswapd::Kept,
            .privileged_list = PrivilegedList::AllNodes,
            .last_unreserve = LastUnreserve::OnEveryNo,
            .nothing_reclaimable = NothingReclaimable::Zero,
            .compact_without_io = CompactWithoutIo::NotAsked,
            .kswapd_wake = KswapdWake::EachNode,
            .refused_wake = RefusedWake::Kcompactd,
            .hopeless_node = HopelessNode::RecoveredZone,
        },
};

}  // namespace mmbox
