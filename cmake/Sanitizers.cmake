# SL_SANITIZE=address,undefined builds everything with those sanitizers, and stops at the first finding. Checks between
# all loads leave little to optimize, and trying takes longer than the tests do: -Og, but for what computes most
# (kernels/CMakeLists.txt). Lines are enough of debugging information for a report.
set(SL_SANITIZE "" CACHE STRING "Comma-separated sanitizers, as for -fsanitize=")
if(SL_SANITIZE)
  add_compile_options(-fsanitize=${SL_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -Og -g1)
  add_link_options(-fsanitize=${SL_SANITIZE})
endif()
# SL_FUZZ=ON makes the targets of tests/fuzz search for inputs, with clang's libFuzzer, instead of running the kept ones.
option(SL_FUZZ "Build tests/fuzz with -fsanitize=fuzzer (clang)" OFF)
if(SL_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
