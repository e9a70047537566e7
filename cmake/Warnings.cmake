# The warnings everything is built with; SL_WERROR turns them into errors (CI does).
option(SL_WERROR "Treat warnings as errors" OFF)
add_compile_options(
  -Wall -Wextra -Wshadow -Wpointer-arith
  $<$<COMPILE_LANGUAGE:C,CXX>:-Wundef>
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes>
  $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes>
  $<$<COMPILE_LANGUAGE:C>:-Wvla>)
if(SL_WERROR)
  add_compile_options($<$<COMPILE_LANGUAGE:C,CXX>:-Werror>$<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings>)
endif()
