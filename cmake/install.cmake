# What `cmake --install` lays out: the engine as a library (headers, archive, CMake package, pkg-config file) and the
# command with its man pages and completions. The laboratory stays inside the command.
include(CMakePackageConfigHelpers)

install(TARGETS mmbox_core EXPORT mmboxTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET mmbox_arena)
  install(TARGETS mmbox_arena EXPORT mmboxTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
install(EXPORT mmboxTargets NAMESPACE mmbox:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/mmbox)
configure_package_config_file(cmake/mmboxConfig.cmake.in ${CMAKE_BINARY_DIR}/mmboxConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/mmbox)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/mmboxConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/mmboxConfig.cmake ${CMAKE_BINARY_DIR}/mmboxConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/mmbox)
file(RELATIVE_PATH MMBOX_PC_TO_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(cmake/mmbox.pc.in ${CMAKE_BINARY_DIR}/mmbox.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/mmbox.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

if(TARGET mmbox_arena)
  install(DIRECTORY mmbox/arena DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/mmbox FILES_MATCHING PATTERN "*.h")
  set(MMBOX_PC_LIBNUMA "")
  if(MMBOX_LIBNUMA AND MMBOX_LIBNUMA_INCLUDE)
    set(MMBOX_PC_LIBNUMA "-lnuma")
  endif()
  configure_file(cmake/mmbox-arena.pc.in ${CMAKE_BINARY_DIR}/mmbox-arena.pc @ONLY)
  install(FILES ${CMAKE_BINARY_DIR}/mmbox-arena.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endif()
install(DIRECTORY mmbox/core DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/mmbox FILES_MATCHING PATTERN "*.h")
install(FILES mmbox/mmbox.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/mmbox OPTIONAL)

if(TARGET mmbox)
  install(TARGETS mmbox RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  if(EXISTS ${CMAKE_SOURCE_DIR}/share)
    install(DIRECTORY share/ DESTINATION ${CMAKE_INSTALL_DATADIR})
  endif()
endif()
