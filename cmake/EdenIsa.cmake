# One source, one object for each instruction set.
#
# EDEN_ISAS lists the sets that this compiler can build for this processor,
# weakest first; `base` runs everywhere. avx2 includes F16C, as every processor with
# AVX2 does, and leaves out -mfma on purpose: what cannot be emitted cannot change the
# bits. EDEN_HALVES is how many floats src/engine/half.h makes of f16 at once.

include(CheckCCompilerFlag)
include(CheckCSourceCompiles)

set(EDEN_ISA_FLAGS_base "")
set(EDEN_ISA_FLAGS_avx2 -mavx2 -mf16c -DEDEN_HALVES=8)
set(EDEN_ISA_FLAGS_avx512
    -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512 -DEDEN_HALVES=16)

set(EDEN_ISAS base)
check_c_source_compiles("
#ifndef __x86_64__
#error not x86-64
#endif
int main(void) { return 0; }" EDEN_IS_X86_64)
if(EDEN_IS_X86_64)
    foreach(isa avx2 avx512)
        string(REPLACE ";" " " flags "${EDEN_ISA_FLAGS_${isa}}")
        check_c_compiler_flag("${flags}" EDEN_COMPILES_${isa})
        if(EDEN_COMPILES_${isa})
            list(APPEND EDEN_ISAS ${isa})
        endif()
    endforeach()
    check_c_source_compiles("
    #ifdef __AVX__
    #error AVX in the baseline
    #endif
    int main(void) { return 0; }" EDEN_BASE_IS_BASE)
    if(NOT EDEN_BASE_IS_BASE)
        message(FATAL_ERROR "CMAKE_C_FLAGS turns on AVX for every object, so that the library "
                            "would not run everywhere: remove -march or -mavx; Eden picks the "
                            "instruction set when it runs")
    endif()
endif()

# eden_add_isa_objects(NAME ISA SOURCE...): the object library NAME.
function(eden_add_isa_objects name isa)
    add_library(${name} OBJECT ${ARGN})
    target_link_libraries(${name} PRIVATE eden-freestanding)
    target_compile_options(${name} PRIVATE ${EDEN_ISA_FLAGS_${isa}})
    target_compile_definitions(${name} PRIVATE
        EDEN_ISA=${isa} $<$<STREQUAL:${isa},base>:EDEN_DESCRIBE>)
endfunction()
