# Sources are globbed: a file belongs to the target of the folder that it stands in. A folder that is not there yet
# makes no target.

# Sets `out` to the sources under `folder`, without tests, fuzzers and main().
function(mmbox_sources out folder)
  file(GLOB_RECURSE found CONFIGURE_DEPENDS ${folder}/*.cc ${folder}/*.c)
  list(FILTER found EXCLUDE REGEX "_test\\.cc$|_fuzz\\.cc$|/cli/main\\.cc$")
  set(${out} ${found} PARENT_SCOPE)
endfunction()

# mmbox_library(<folder> <libraries>…): the static library mmbox_<folder> of mmbox/<folder>, above those made before it
# (`mmbox_libraries`, highest first).
macro(mmbox_library folder)
  mmbox_sources(${folder}_sources mmbox/${folder})
  if(${folder}_sources)
    add_library(mmbox_${folder} STATIC ${${folder}_sources})
    target_link_libraries(mmbox_${folder} PUBLIC ${mmbox_libraries} mmbox_core ${ARGN} PRIVATE mmbox_warnings)
    list(PREPEND mmbox_libraries mmbox_${folder})
  endif()
endmacro()

# mmbox_test(<target> <sources>…): a GoogleTest program, each of its tests known to ctest.
function(mmbox_test target)
  if(NOT ARGN)
    return()
  endif()
  add_executable(${target} ${ARGN})
  target_compile_definitions(${target} PRIVATE MMBOX_TEST_DATA="${CMAKE_SOURCE_DIR}/tests/data"
                             MMBOX_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  target_link_libraries(${target} PRIVATE ${mmbox_libraries} mmbox_core mmbox_warnings GTest::gmock GTest::gtest_main
                        fmt::fmt nlohmann_json::nlohmann_json)
  if(TARGET mmbox)  # some tests run the command as a user would
    target_compile_definitions(${target} PRIVATE MMBOX_COMMAND="$<TARGET_FILE:mmbox>")
    add_dependencies(${target} mmbox)
  endif()
  gtest_discover_tests(${target} DISCOVERY_TIMEOUT 60)
endfunction()

# mmbox_benchmarks(<sources>…): one Google Benchmark program a file, under bench/ of the build. The allocators that
# mmbox is measured against are called by their own names (mallocx, mi_malloc, tc_memalign, scalable_malloc); the
# libraries that define malloc, new and delete for everyone else come first, so that those stay theirs. (In -Wl, since
# g++ moves a plain -lc to the end.)
function(mmbox_benchmarks)
  find_package(benchmark REQUIRED)
  set(rivals)
  foreach(rival jemalloc mimalloc tcmalloc tbbmalloc)
    find_library(MMBOX_RIVAL_${rival} ${rival})
    if(MMBOX_RIVAL_${rival})
      list(APPEND rivals ${MMBOX_RIVAL_${rival}})
    endif()
  endforeach()
  foreach(source ${ARGN})
    get_filename_component(name ${source} NAME_WE)
    add_executable(${name} ${source})
    target_link_libraries(${name} PRIVATE ${mmbox_libraries} $<$<STREQUAL:${name},arena_bench>:mmbox_arena> mmbox_core
                          mmbox_warnings benchmark::benchmark fmt::fmt
                          -Wl,--no-as-needed,-lstdc++,-lc,--as-needed ${rivals} -Wl,--no-as-needed)
    # Core calls mmbox_panic, which the lab supplies, and stands behind it on the linker's line.
    target_link_options(${name} PRIVATE -Wl,--undefined=mmbox_panic)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bench)
  endforeach()
  # DPDK's headers want flags of their own, and its warnings are not ours.
  pkg_check_modules(DPDK QUIET libdpdk)
  if(TARGET arena_bench AND DPDK_FOUND)
    add_library(mmbox_dpdk_pool STATIC bench/dpdk/dpdk_pool.cc)
    target_compile_options(mmbox_dpdk_pool PRIVATE ${DPDK_CFLAGS} -w)
    target_include_directories(mmbox_dpdk_pool PRIVATE ${CMAKE_SOURCE_DIR})
    target_link_libraries(mmbox_dpdk_pool PUBLIC ${DPDK_LINK_LIBRARIES})
    target_compile_definitions(arena_bench PRIVATE MMBOX_HAS_DPDK)
    target_link_libraries(arena_bench PRIVATE mmbox_dpdk_pool)
  endif()
endfunction()
