# The flags that every target of this project is compiled with.

get_property(multi_config GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
if(NOT multi_config AND NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Release, RelWithDebInfo, Debug" FORCE)
endif()

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

add_library(eden-flags INTERFACE)
target_compile_options(eden-flags INTERFACE
    -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes)
if(EDEN_WERROR)
    target_compile_options(eden-flags INTERFACE -Werror)
endif()

# These leave every IEEE 754 result alone, and each is needed:
#   -ffp-contract=off   no a * b + c in one rounding
#   -fno-math-errno     a square root is an instruction, not a call
#   -fno-trapping-math  both sides of a choice may be computed
# -ffast-math and its parts do not, and are refused here and in engine/rule.h.
add_library(eden-arithmetic INTERFACE)
target_compile_options(eden-arithmetic INTERFACE
    -ffp-contract=off -fno-math-errno -fno-trapping-math
    # -O2 of older compilers vectorizes nothing.
    $<$<CONFIG:Release,RelWithDebInfo>:-O3>)
string(TOUPPER "${CMAKE_BUILD_TYPE}" config)
if("${CMAKE_C_FLAGS} ${CMAKE_C_FLAGS_${config}}" MATCHES
   "-Ofast|-ffast-math|-funsafe-math-optimizations|-fassociative-math|-freciprocal-math")
    message(FATAL_ERROR "CMAKE_C_FLAGS holds ${CMAKE_MATCH_0}, which changes results: remove it")
endif()

if(EDEN_SANITIZE)
    set(sanitize -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_compile_options(eden-flags INTERFACE ${sanitize} -g)
    target_link_options(eden-flags INTERFACE ${sanitize})
endif()

if(EDEN_FUZZ)
    target_compile_options(eden-flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
