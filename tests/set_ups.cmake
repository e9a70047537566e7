# How operations are set up (check.h): compiled once, for the checkers, the benchmarks and whoever needs one set-up.
include_guard(GLOBAL)
file(GLOB set_up_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/check_*.c)
add_library(set_ups OBJECT EXCLUDE_FROM_ALL ${set_up_sources})
if(SL_SANITIZE) # they draw and compare hundreds of millions of numbers
  target_compile_options(set_ups PRIVATE -O2)
endif()
