# What others get: the programs, one static library with all of it, the headers, and both ways to find them.
include(CMakePackageConfigHelpers)

set(library_objects $<TARGET_OBJECTS:starling_kernels_common> $<TARGET_OBJECTS:starling_runtime>
  $<TARGET_OBJECTS:starling_comm>)
foreach(isa avx512 avx512bf16 amx)
  if(TARGET starling_kernels_${isa})
    list(APPEND library_objects $<TARGET_OBJECTS:starling_kernels_${isa}>)
  endif()
endforeach()
get_target_property(models_type starling_models TYPE)
if(models_type STREQUAL "STATIC_LIBRARY")
  list(APPEND library_objects $<TARGET_OBJECTS:starling_models>)
endif()
add_library(starling STATIC ${library_objects})
target_link_libraries(starling PUBLIC m Threads::Threads ${CMAKE_DL_LIBS}
  PRIVATE OpenMP::OpenMP_C PkgConfig::JPEG PkgConfig::TURBOJPEG PkgConfig::JANSSON PkgConfig::ARCHIVE PkgConfig::ZSTD PkgConfig::XXHASH)
# Includes are written from the root of the source ("runtime/graph/graph.h"), and stay so.
target_include_directories(starling INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/starling>)

install(TARGETS starling EXPORT starling ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
get_property(programs DIRECTORY ${PROJECT_SOURCE_DIR}/apps PROPERTY BUILDSYSTEM_TARGETS)
if(programs)
  install(TARGETS ${programs} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
# Each wire is a Debian package of its own, so that no library of MPI comes along unless it is asked for.
get_property(wires GLOBAL PROPERTY sl_wires)
foreach(wire ${wires})
  install(TARGETS starling_wire_${wire} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/starling COMPONENT ${wire})
  string(TOUPPER ${wire} upper)
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME starling-${wire})
  set(CPACK_DEBIAN_${upper}_PACKAGE_DEPENDS "starling (= ${PROJECT_VERSION})")
  set(CPACK_COMPONENT_${upper}_DESCRIPTION "Starling under mpirun of ${wire}")
endforeach()
install(CODE "set(SOURCE \"${PROJECT_SOURCE_DIR}\")\nset(DESTINATION \"${CMAKE_INSTALL_INCLUDEDIR}/starling\")")
install(SCRIPT ${CMAKE_CURRENT_LIST_DIR}/PublicHeaders.cmake)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

# find_package(starling)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/starling)
install(EXPORT starling NAMESPACE starling:: DESTINATION ${package_dir} FILE starlingTargets.cmake)
write_basic_package_version_file(starlingConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_LIST_DIR}/starlingConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/starlingConfigVersion.cmake
  DESTINATION ${package_dir})

# pkg-config starling
file(RELATIVE_PATH prefix_from_pc /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
list(TRANSFORM OpenMP_C_LIB_NAMES PREPEND "-l" OUTPUT_VARIABLE openmp_libs)
list(JOIN openmp_libs " " openmp_libs)
configure_file(${CMAKE_CURRENT_LIST_DIR}/starling.pc.in starling.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/starling.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# cpack: a tarball and a Debian package
set(CPACK_GENERATOR TGZ DEB)
set(CPACK_PACKAGE_VENDOR "The Starling authors")
set(CPACK_PACKAGE_CONTACT "The Starling authors")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_UNSPECIFIED_PACKAGE_NAME starling)
set(CPACK_COMPONENTS_GROUPING IGNORE)
find_program(DPKG_SHLIBDEPS dpkg-shlibdeps)
if(DPKG_SHLIBDEPS)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
endif()
include(CPack)
