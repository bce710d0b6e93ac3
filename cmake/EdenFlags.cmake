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

# Where a build lies is not part of a release: equal sources make equal bytes. Debuggers and
# coverage want the real names.
include(CheckCCompilerFlag)
check_c_compiler_flag(-ffile-prefix-map=/a=/b EDEN_HAS_PREFIX_MAP)
if(EDEN_HAS_PREFIX_MAP)
    target_compile_options(eden-flags INTERFACE
        $<$<CONFIG:Release,MinSizeRel>:-ffile-prefix-map=${PROJECT_SOURCE_DIR}=eden>
        $<$<CONFIG:Release,MinSizeRel>:-ffile-prefix-map=${PROJECT_BINARY_DIR}=build>)
endif()

if(EDEN_SANITIZE AND EDEN_SANITIZE_THREADS)
    message(FATAL_ERROR "EDEN_SANITIZE and EDEN_SANITIZE_THREADS exclude each other: choose one")
endif()
if(EDEN_SANITIZE_THREADS)
    target_compile_options(eden-flags INTERFACE -fsanitize=thread -fno-omit-frame-pointer -g)
    target_link_options(eden-flags INTERFACE -fsanitize=thread)
endif()
if(EDEN_SANITIZE)
    set(sanitize -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_compile_options(eden-flags INTERFACE ${sanitize} -g)
    target_link_options(eden-flags INTERFACE ${sanitize})
endif()

if(EDEN_FUZZ)
    target_compile_options(eden-flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# What makes a defect harder to use (tests/hardening.sh). Rules and engine are exempt from
# the guards, which they would pay for in every block, and keep to memory they are given;
# the core needs no libc and could not end the program. Sanitizers have guards of their own.
add_library(eden-guards INTERFACE)
add_library(eden-hard-link INTERFACE)
if(EDEN_HARDEN)
    include(CheckPIESupported)
    check_pie_supported()
    target_compile_options(eden-guards INTERFACE -fstack-protector-strong)
    check_c_compiler_flag(-fstack-clash-protection EDEN_HAS_STACK_CLASH)
    if(EDEN_HAS_STACK_CLASH)
        target_compile_options(eden-guards INTERFACE -fstack-clash-protection)
    endif()
    if(NOT EDEN_SANITIZE AND NOT EDEN_SANITIZE_THREADS)
        target_compile_options(eden-guards INTERFACE
            $<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:-U_FORTIFY_SOURCE$<SEMICOLON>-D_FORTIFY_SOURCE=2>)
    endif()
    include(CheckLinkerFlag)
    check_linker_flag(C -Wl,-z,relro,-z,now,-z,noexecstack EDEN_HAS_HARD_LINK)
    if(EDEN_HAS_HARD_LINK)
        target_link_options(eden-hard-link INTERFACE LINKER:-z,relro,-z,now,-z,noexecstack)
    endif()
endif()
