// What kernels decide differently: one enumeration for each policy, and `Generation`, the table of one kernel's
// choices.
//
// Every difference between kernels is a field here; code asks "which rule?", never "which version?". The values, one
// for each modelled kernel, are in generation.h. Source: the matrix of policies in docs/generations.md.
#pragma once

#include <cstdint>
#include <string_view>

namespace mmbox {

// ------------------------------------------------------------- types and requests

/// What an isolated pageblock does to its mobility type.
enum class IsolationMark : std::uint8_t {
  Overwrites,  ///< to 6.16: the type is lost, and given anew when isolation ends
  Covers,      ///< 6.17 on: a bit beside the type, which reappears
};

/// How a kernel numbers its types, where lists are looked at in the order of the numbers.
enum class TypeOrder : std::uint8_t {
  ReclaimableSecond,  ///< to 4.3: Unmovable, Reclaimable, Movable, Reserve
  MovableSecond,      ///< 4.4 on: Unmovable, Movable, Reclaimable, HighAtomic
};

/// Which types turn into Unmovable while grouping by mobility is off.
enum class MobilityOffFilter : std::uint8_t {
  EveryType,     ///< 3.10: also Reserve, CMA and Isolate
  GroupedTypes,  ///< later: only the three that have per-cpu lists
};

/// What a task's wish to pin its pages does to a movable request.
enum class PinScope : std::uint8_t {
  Unknown,     ///< 3.10, 4.12: there is no such scope
  NoCma,       ///< 5.10: it stays movable, but gets no CMA page
  NotMovable,  ///< 6.1 on: it is not movable any more
};

/// When the scopes of a task (NOIO, NOFS) are taken off a mask.
enum class ScopeRule : std::uint8_t {
  NoIoInSlowPath,      ///< 3.10: there is only NOIO, and the first attempt does not see it
  InSlowPath,          ///< 4.12, 5.10: the first attempt does not see them
  BeforeFirstAttempt,  ///< 6.1 on
};

/// How the first attempt is held to the task's cpuset.
enum class CpusetRule : std::uint8_t {
  FlagAlways,      ///< 3.10: HARDWALL and the flag CPUSET on every first attempt
  NodemaskAlways,  ///< 4.12: the task's nodes become the nodemask, also in an interrupt
  NodemaskInTask,  ///< 5.10 on: in an interrupt the flag CPUSET stands instead
};

/// Where a request above the largest order ends.
enum class TooLargeOrder : std::uint8_t {
  InSlowPath,  ///< 3.10, 4.12: reported as a failed request
  AtOnce,      ///< 5.10 on
};

struct RequestPolicy {
  IsolationMark isolation_mark;
  TypeOrder type_order;
  MobilityOffFilter mobility_off_filter;
  PinScope pin_scope;
  ScopeRule scopes;
  CpusetRule cpuset;
  TooLargeOrder too_large_order;
};

// ------------------------------------------------------------- boot, zonelists, limits

/// In which pieces boot memory reaches the free lists.
enum class BootChunk : std::uint8_t {
  Word64,        ///< 3.10: 64 pages at a time, single pages at the edges
  LargestBlock,  ///< later: the largest aligned block that fits
};
/// Which end of the list boot memory goes to.
enum class BootPlace : std::uint8_t {
  FreeRule,  ///< to 5.9: as any free; the highest block of the largest order is handed out first
  Tail,      ///< 5.10 on: always the tail; the lowest block is handed out first
};
/// Which pageblocks start as Movable.
enum class MemmapMovable : std::uint8_t {
  AnyStructPage,  ///< to 4.12: those whose first frame has a record, be it a hole
  MemoryOnly,     ///< 5.10 on: those whose first frame is memory of the zone
};
/// Which zones stand in zonelists.
enum class ZonelistMembers : std::uint8_t { Present, Managed };
/// In which order a zonelist goes through nodes and zones.
enum class ZonelistOrder : std::uint8_t {
  Heuristic,  ///< 3.10: by node if the low zones are large, otherwise by zone: every Normal zone before any DMA32
  Node,       ///< 64-bit kernels later: all zones of a node before the next node
};
/// How a node that was chosen first at some distance is made less attractive for the nodes whose order follows.
/// Source: node_load, mm/page_alloc.c.
enum class NodeLoadRule : std::uint8_t {
  Rank,     ///< to 5.16: its load becomes the number of nodes still to come, whatever it was
  PlusOne,  ///< 5.17 on: its load grows by one, and stays so
};
/// How a user's vm.min_free_kbytes fares when the value is recomputed.
enum class UserMinFree : std::uint8_t {
  Overwritten,     ///< 3.10
  KeptIfNotLower,  ///< later
};
/// Which populated zones count for khugepaged's wish.
enum class KhugepagedZones : std::uint8_t { All, UpToNormal };
/// How far the LOW and HIGH marks are from MIN.
enum class WatermarkGaps : std::uint8_t {
  Quarters,        ///< 3.10: a quarter and a half of the zone's share
  Scaled,          ///< 4.6 on: vm.watermark_scale_factor may widen the gap
  ScaledAndPromo,  ///< 5.18 on: and there is a mark above HIGH for memory tiering
};
/// What the Movable zone counts as when min_free_kbytes is shared out.
enum class MovableZoneMarks : std::uint8_t {
  AsLowmem,  ///< to 6.5: like any other
  OwnSmall,  ///< 6.6 on: a small MIN of its own, outside of the sum
};
/// What a lowmem_reserve_ratio below 1 means.
enum class LowmemRatio : std::uint8_t {
  AtLeastOne,  ///< to 5.7: it counts as 1
  ZeroIsOff,   ///< 5.8 on: no reserve; nor has a zone without managed pages one
};

struct BootPolicy {
  BootChunk chunk;
  BootPlace place;
  MemmapMovable memmap_movable;
  ZonelistMembers zonelist_members;
  ZonelistOrder zonelist_order;
  NodeLoadRule node_load;
  std::uint32_t min_free_cap_kbytes;  ///< of the computed value
  UserMinFree user_min_free;
  KhugepagedZones khugepaged_zones;
  WatermarkGaps watermark_gaps;
  MovableZoneMarks movable_zone_marks;
  LowmemRatio lowmem_ratio;
};

// ------------------------------------------------------------- watermark tests

/// How a kernel compares a zone's free pages with a mark.
enum class WatermarkRule : std::uint8_t {
  Loop,    ///< to 4.3: each smaller order's pages are taken off and the mark is halved; lists are not looked at
  Harder,  ///< 4.4 to 4.13: HARDER takes a quarter off, and opens the high-atomic reserve; a fitting block must exist
  HarderOom,  ///< 4.14 to 6.2, 6.1.0 to 6.1.115: as Harder, but an OOM victim takes half off instead of the quarter
  Reserves,   ///< 6.3 on, 6.1.116 on: NON_BLOCK counts only with MIN_RESERVE; any right cancels the high-atomic
              ///< deduction
};

/// The shortcut that order-0 requests are tried with before the full test.
enum class WatermarkFastRule : std::uint8_t {
  None,           ///< 3.10: always the full test
  CmaOnly,        ///< 4.4 to 5.8: only CMA pages are taken off, compared unsigned
  AllDeductions,  ///< 5.9 on: the same pages are taken off as in the full test
};

/// Who may ignore a boosted MIN mark for one page, as a second chance.
enum class BoostException : std::uint8_t {
  None,        ///< before 5.10
  GfpAtomic,   ///< 5.10, 6.1: masks with __GFP_ATOMIC
  MinReserve,  ///< 6.3 on: attempts with MIN_RESERVE
};

/// The three of one generation.
struct WatermarkPolicy {
  WatermarkRule rule;
  WatermarkFastRule fast;
  BoostException boost_exception;
  friend constexpr bool operator==(const WatermarkPolicy&, const WatermarkPolicy&) = default;
};

// ------------------------------------------------------------- the zone walk

/// What the walk over the zonelist remembers of zones that were full.
enum class FullZoneCache : std::uint8_t {
  Off,
  OneSecond,  ///< 3.10, on machines with several nodes: they are skipped, unless nothing else is left
};
/// Whether a zone above its HIGH mark is taken from before anything else is asked.
enum class HighMarkFirst : std::uint8_t {
  No,
  Yes,  ///< 6.12 on; a zone that is not is marked BELOW_HIGH, and per-cpu lists stay short
};
/// What a running kswapd means to the walk.
enum class KswapdPreference : std::uint8_t {
  None,
  IdleFirst,  ///< 7.2, on machines with several nodes: nodes whose kswapd runs are passed over in a first round
};
/// Whose zone index says how much lowmem_reserve to respect.
enum class LowmemIndex : std::uint8_t {
  Preferred,  ///< to 5.7: that of the first zone of the list
  Request,    ///< 5.8 on: the highest that the mask allows
};
/// Whether a first attempt avoids to mix pageblocks, and below which order.
enum class NoFragment : std::uint8_t {
  Off,              ///< before 5.0
  BelowPageblock,   ///< 5.0 to 6.0: no foreign block below order 9, whatever is asked
  SmallerRequests,  ///< 6.1 on: the bound does not hold for requests of order 9 and 10 themselves
};
/// vm.defrag_mode.
enum class DefragMode : std::uint8_t {
  Absent,
  Sysctl,  ///< 6.15 on: when on, NOFRAGMENT holds for every attempt but the last resort
};
/// Which bits of vm.zone_reclaim_mode make a zone reclaim instead of going further.
enum class ReclaimGate : std::uint8_t { AnyBit, KnownBits };
/// The allocation of many single pages in one call.
enum class BulkApi : std::uint8_t {
  Absent,
  WholeRequest,  ///< 5.13 on: the zone must stay above LOW for all that is asked
  StillWanted,   ///< 7.2: slots that are filled already do not count
};

struct WalkPolicy {
  FullZoneCache full_zones;
  HighMarkFirst high_mark_first;
  KswapdPreference kswapd;
  LowmemIndex lowmem_index;
  NoFragment no_fragment;
  DefragMode defrag_mode;
  ReclaimGate reclaim_gate;
  BulkApi bulk_api;
};

// ------------------------------------------------------------- taking pages from the free lists

/// How a request takes from another type's blocks.
enum class FallbackRule : std::uint8_t {
  Take,          ///< 3.10: the largest block is handed out itself; what is left of it joins the request's type
  Move,          ///< 4.12: the largest block is moved to the request's lists, with its pageblock if that is worth it
  MoveSmallest,  ///< 4.13 to 6.9: as Move, but a movable request spares blocks that it would not take whole
  ClaimSteal,    ///< 6.15 on, 6.12.95: claim a whole pageblock, or steal from the smallest block and leave its type
};
/// Which pages in use count as movable when a pageblock is weighed.
enum class MovablePages : std::uint8_t {
  Lru,                  ///< on an LRU list, or movable by their driver
  LruAndOrderOneTails,  ///< 5.10: and the second page of every compound block of order 1, whoever owns it
};
/// The end of the list to which moved blocks go.
enum class MovePlace : std::uint8_t { Head, Tail };
/// When a movable request turns to CMA pages after its own lists.
enum class CmaAfterOwn : std::uint8_t {
  InFallbackTable,  ///< 3.10: at every order before the other types
  Movable,          ///< 4.12: any movable request
  CmaFlag,          ///< 5.10 on: an attempt with the flag CMA
};
/// Whether CMA pages come first once they are more than half of what is free.
enum class CmaBalance : std::uint8_t { Off, MoreThanHalf };
/// Whether mixing a pageblock raises the zone's marks.
enum class FallbackBoost : std::uint8_t { Off, On };
/// Which request wakes kswapd for a boosted zone.
enum class BoostConsumer : std::uint8_t {
  AnyRequest,   ///< to 6.5
  KswapdRight,  ///< 6.6 on: one that may wake kswapd
};

struct TakePolicy {
  FallbackRule fallback;
  MovablePages movable_pages;
  MovePlace block_move_place;
  MovePlace single_place;
  CmaAfterOwn cma_after_own;
  CmaBalance cma_balance;
  FallbackBoost boost;
  BoostConsumer boost_consumer;
};

// ------------------------------------------------------------- the reserve for atomic requests

/// What is set aside for requests that cannot wait.
enum class ReserveKind : std::uint8_t {
  ReserveBlocks,  ///< to 4.3: one or two pageblocks of a zone, of type Reserve, the last resort of every request
  HighAtomic,     ///< 4.4 on: pageblocks that successful atomic requests leave behind
};
/// How a mask without direct reclaim becomes allocation flags, and who uses the reserve.
enum class AtomicRule : std::uint8_t {
  NoWait,     ///< 3.10: neither WAIT nor NO_KSWAPD gives HARDER
  GfpAtomic,  ///< 4.12 to 6.1.115: __GFP_ATOMIC gives HARDER; order > 0 with HARDER uses and makes the reserve
  NonBlock,   ///< 6.1.116: no direct reclaim gives NON_BLOCK, and with __GFP_HIGH and order > 0 HIGHATOMIC
};
/// Which pages of the reserve others may not count on.
enum class ReserveDeduction : std::uint8_t {
  ReservedBlocks,  ///< all pages of its pageblocks, free or not
  FreePages,       ///< 6.13 on, 6.12.95: those that are free
};
/// Whether a request with HIGHATOMIC fills a per-cpu list.
enum class ReserveRefill : std::uint8_t {
  Allowed,
  Refused,  ///< 7.2: it goes to the free lists; what it finds on the per-cpu list it takes
};
/// Which success of such a request sets its pageblock aside.
enum class ReserveWhen : std::uint8_t {
  AnySuccess,
  FreeListOnly,  ///< 7.2: not if the block came from a per-cpu list
};
/// How large the reserve of a zone may grow.
enum class ReserveLimit : std::uint8_t {
  PercentAndBlock,  ///< to 6.6: 1 % of the zone and a pageblock
  RoundedPercent,   ///< 6.7 on: 1 % rounded up to a pageblock; none at all in zones where 1 % is less than one
};
/// What is reserved for a block of pageblock order or more, or at the ragged end of a zone.
enum class ReserveExtent : std::uint8_t {
  OneBlock,   ///< one pageblock, even if none of its free pages can be moved
  AllBlocks,  ///< 6.12 on: every pageblock of the block; nothing if the pageblock is not wholly in the zone
};

struct ReservePolicy {
  ReserveKind kind;
  AtomicRule atomic_rule;
  ReserveDeduction deduction;
  ReserveRefill refill;
  ReserveWhen when;
  ReserveLimit limit;
  ReserveExtent extent;
};

// ------------------------------------------------------------- per-cpu lists

/// Which per-cpu lists exist.
enum class PcpLists : std::uint8_t {
  OrderZero,   ///< to 5.12: one for each type, single pages
  SharedHuge,  ///< 5.13 to 6.1.96: orders 0 to 3 by type, one for order-9 blocks of every type
  SplitHuge,   ///< 6.1.97 on: one for order-9 blocks that do not move, one for those that do
};
/// How much a pageset moves at once, and holds.
enum class PcpSizing : std::uint8_t {
  SixBatchesOf512K,  ///< to 4.17: six times a batch from at most 512 KiB
  SixBatchesOf1M,    ///< 4.18 to 5.12: the same from 1 MiB
  LowMark,           ///< 5.13 to 6.6: the zone's LOW mark shared by the node's CPUs
  Range,             ///< 6.7 on: between that and an eighth of the zone, found by the traffic
};
/// How many pages a refill takes, and when and how many a free returns.
enum class PcpControl : std::uint8_t {
  FixedBatch,  ///< to 5.12: a batch, at `high`
  FreeFactor,  ///< 5.13 to 6.6: frees without allocations return ever more; high-order blocks flush
  Tuned,       ///< 6.7 on: `high`, refill and return follow the traffic
};
/// From when on frees of high orders flush a tuned pageset.
enum class PcpHeavyFree : std::uint8_t {
  Batch,                ///< a batch freed in a row
  BatchAndHalfHighMin,  ///< 7.2: and half of high_min more
};
/// In which portions a tuned pageset returns pages.
enum class PcpReturn : std::uint8_t {
  AtOnce,
  Batches,  ///< 7.2: a batch at a time; each may run over by a large block
};
/// In which order a pageset's lists give pages back.
enum class PcpBulkOrder : std::uint8_t {
  Rotate,   ///< to 5.17: one from the next list, two from the one after, …, each from its tail
  OwnList,  ///< 5.18 on: the list of the freed page first, each list emptied before the next
};
/// Under which type a page leaves a pageset.
enum class PcpType : std::uint8_t {
  Cached,                ///< 3.10: that of its pageblock when it was freed
  CachedUnlessIsolated,  ///< 4.12 to 6.9: the same, but looked up anew while the zone has isolated pageblocks
  Pageblock,             ///< 6.10 on: that of its pageblock now
};
/// Where a movable request looks that must not have CMA pages.
enum class PcpWithoutCma : std::uint8_t {
  PerCpu,     ///< on its per-cpu list all the same
  FreeLists,  ///< 5.10, 6.1: past the per-cpu list, which may hold some
};
/// Whether masks can ask for pages that are not in the CPU's cache.
enum class ColdPages : std::uint8_t {
  Absent,
  GfpCold,  ///< to 4.14: __GFP_COLD takes from the tail
};
/// How much one drain returns at a time.
enum class PcpDrain : std::uint8_t {
  Everything,   ///< to 6.1.103
  ManyBatches,  ///< later: 32 batches
};

struct PcpPolicy {
  PcpLists lists;
  PcpSizing sizing;
  PcpControl control;
  std::uint8_t free_factor_max;  ///< FreeFactor: doublings of a return; 255 stands for "no limit"
  PcpHeavyFree heavy_free;
  PcpReturn returns;
  PcpBulkOrder bulk_order;
  PcpType type;
  PcpWithoutCma without_cma;
  ColdPages cold;
  PcpDrain drain;
};

// ------------------------------------------------------------- free path

/// When two free buddies of pageblock order do not join.
enum class MergeRule : std::uint8_t {
  Always,           ///< 3.10: they always join
  ApartIfIsolated,  ///< 4.12 to 5.17: if exactly one is isolated
  ApartIfSetApart,  ///< 5.18 to 6.9: if their types differ and one is HighAtomic, CMA or Isolate
  RetypesBuddy,     ///< 6.10 on: the same, and the buddy's pageblocks take the type of the freed block
};
/// How a block of order 10 is freed.
enum class LargestFree : std::uint8_t {
  Whole,
  Pageblocks,  ///< 6.10 on: its pageblocks one by one, each under its own type
};
/// How a run of adjacent single pages that are freed together goes back.
enum class RangeFree : std::uint8_t {
  PageByPage,
  AlignedBlocks,  ///< 7.2
};
/// Where the tail of an exact allocation goes.
enum class ExactTrim : std::uint8_t {
  PerCpu,         ///< to 5.10: single frees
  FreeListsTail,  ///< later: straight to the tail of the free lists
};
/// What happens to a block that is not compound when its first page has another holder.
enum class SharedFirstPage : std::uint8_t {
  Leaks,      ///< to 5.9: nothing is freed
  FreesRest,  ///< 5.10 on: the other pages go back in pieces
};
/// In how many passes a list of pages is freed.
enum class ListFree : std::uint8_t {
  OnePass,          ///< 3.10, 4.12: page by page
  IsolatedInPlace,  ///< 5.10: a pass to prepare, one to free; isolated pages at their place in the order
  IsolatedFirst,    ///< 6.1: isolated pages are freed in the first pass
  FolioBatch,       ///< 6.12 on: blocks of any order; those without a per-cpu list are freed in the first pass
};
/// When the free counters follow the lists.
enum class CounterTiming : std::uint8_t {
  PerRequest,  ///< to 6.9: one update for a refill, none when blocks change type
  PerBlock,    ///< 6.10 on: lists are typed; every block is counted when it enters, leaves or changes type
};
/// Whether nr_free_pages_blocks is kept: the pages of free blocks of pageblock order or more, isolated ones left out.
enum class BlockCounter : std::uint8_t { Absent, Kept };
/// What a zone must keep above when a free block is isolated.
enum class IsolateFreeMark : std::uint8_t {
  Low,           ///< 3.10: the LOW mark, without CMA pages
  MinWithBoost,  ///< 4.12
  RawMin,        ///< 5.10 on
};
/// How a pageblock is set apart.
enum class PageblockIsolation : std::uint8_t {
  DrainAll,     ///< 3.10: nothing is counted; every per-cpu list is drained after each pageblock
  DrainZone,    ///< 4.12: the zone's are
  TailDrain,    ///< 5.10: and a pageblock that is isolated already refuses
  SplitRange,   ///< 6.1: free blocks that cross the range's edge are split; no drain
  WholeBlocks,  ///< 6.10 on: a larger free block is taken apart into its pageblocks
};
/// Which blocks direct compaction may take as they are freed.
enum class CaptureRule : std::uint8_t {
  Off,
  NotMovableBlocks,   ///< 5.1 to 6.1: small blocks of Movable pageblocks stay
  MovableForMovable,  ///< 6.12 on: unless the request is movable itself
};

struct FreePolicy {
  MergeRule merge;
  LargestFree largest;
  RangeFree ranges;
  ExactTrim exact_trim;
  SharedFirstPage shared_first_page;
  ListFree lists;
  CounterTiming counters;
  BlockCounter block_counter;
  IsolateFreeMark isolate_free_mark;
  PageblockIsolation isolation;
  CaptureRule capture;
};

// ------------------------------------------------------------- slow path

/// The order of the attempts after the first.
enum class SlowPathOrder : std::uint8_t {
  Restarts,      ///< 3.10: compaction first, asynchronous the first time; tries until reclaim makes no progress
  EarlyCompact,  ///< 4.12 to 6.12: costly and unmovable requests compact once before they reclaim
  OneLoop,       ///< 7.2: that first round is part of the common loop
};
/// Which result of that early compaction ends a costly request that must not retry.
enum class NoRetryExit : std::uint8_t {
  None,
  Deferred,           ///< 4.12
  SkippedOrDeferred,  ///< 5.10
  AlsoThisNode,       ///< 6.1, 6.12: and any result if only this node may serve
  OnlyThisNode,       ///< 7.2
};
/// After which results of compaction the free lists are tried again.
enum class TryAfterCompaction : std::uint8_t {
  UnlessSkipped,
  UnlessSkippedOrDeferred,
  Always,  ///< 5.10
};
/// What an OOM victim may do.
enum class OomVictim : std::uint8_t {
  NoWatermarks,  ///< to 4.13: anything
  OomFlag,       ///< 4.14 on: half the MIN mark
};
/// Whether the right to wake kswapd survives reserve flags.
enum class ReserveFlagsKswapd : std::uint8_t {
  Lost,  ///< to 5.10
  Kept,
};
/// Where an attempt looks that is above cpusets or entitled to reserves.
enum class PrivilegedList : std::uint8_t {
  OwnNode,   ///< 3.10, 4.12: from the node of the executing CPU on; the nodemask still holds
  AllNodes,  ///< 5.10 on: from the preferred node on, without nodemask
};
/// When the last high-atomic pageblock is given back before a request fails.
enum class LastUnreserve : std::uint8_t {
  AfterManyLoops,  ///< to 6.1.75: only once the rounds without progress exceed 16
  OnEveryNo,       ///< later: whenever the answer to "retry reclaim?" is no
};
/// What should_reclaim_retry() takes a zone for that has nothing to reclaim.
enum class NothingReclaimable : std::uint8_t {
  Zero,
  FreePages,  ///< 6.1, 6.12: its free pages count twice
};
/// When compaction is asked for a mask without __GFP_IO.
enum class CompactWithoutIo : std::uint8_t {
  Skips,  ///< to 6.1.0: asked, and it answers "skipped"
  NotAsked,
};
/// Which compaction result leads to the question whether reclaim would make compaction possible.
enum class WithdrawnCompaction : std::uint8_t {
  AsksSuitability,  ///< 4.12: skipped, deferred, contended and partly skipped
  Raises,           ///< later: only "skipped" does, the others raise the priority
};
/// What makes a node that kswapd gave up on worth another try, beside a successful run of kswapd.
enum class HopelessNode : std::uint8_t {
  StaysSo,
  RecoveredZone,  ///< 7.2: frees lift one of its zones above HIGH, and a node with a higher id has memory
};
/// What a request looks at when it wakes kswapd.
enum class KswapdWake : std::uint8_t {
  EachZone,  ///< 3.10: every zone of the list, whatever the nodemask; one below LOW wakes
  EachNode,  ///< later: the nodes that the request may use; one that is not balanced is woken
};
/// Whether kcompactd is woken in place of a kswapd that would be of no use.
enum class RefusedWake : std::uint8_t { Nothing, Kcompactd };

struct SlowPolicy {
  SlowPathOrder order;
  NoRetryExit no_retry_exit;
  TryAfterCompaction try_after_compaction;
  WithdrawnCompaction withdrawn;
  OomVictim oom_victim;
  ReserveFlagsKswapd reserve_flags_kswapd;
  PrivilegedList privileged_list;
  LastUnreserve last_unreserve;
  NothingReclaimable nothing_reclaimable;
  CompactWithoutIo compact_without_io;
  KswapdWake kswapd_wake;
  RefusedWake refused_wake;
  HopelessNode hopeless_node;
};

/// One kernel: a column of the matrix.
struct Generation {
  std::string_view name;  ///< "linux-6.1"
  RequestPolicy requests;
  BootPolicy boot;
  WatermarkPolicy watermark;
  WalkPolicy walk;
  TakePolicy take;
  ReservePolicy reserve;
  PcpPolicy pcp;
  FreePolicy free;
  SlowPolicy slow;
};

}  // namespace mmbox
