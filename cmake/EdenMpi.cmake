# Which MPI libeden-mpi is built for. It is an optional part: the other libraries
# never link MPI.

set(EDEN_MPI_FOUND OFF)
if(NOT EDEN_BUILD_MPI STREQUAL "OFF")
    find_package(MPI QUIET COMPONENTS C)
    if(MPI_C_FOUND)
        set(EDEN_MPI_FOUND ON)
    elseif(EDEN_BUILD_MPI STREQUAL "AUTO")
        message(STATUS "libeden-mpi is left out: there is no MPI (Debian: libopenmpi-dev or libmpich-dev); "
                       "-DEDEN_BUILD_MPI=OFF says that this is meant")
    else()
        message(FATAL_ERROR "EDEN_BUILD_MPI is ON, and there is no MPI (Debian: libopenmpi-dev or libmpich-dev)")
    endif()
endif()

# eden_mpi_flags(WRAPPER PREFIX): what a compiler wrapper such as mpicc adds, as
# PREFIX_INCLUDES and PREFIX_LINK; Open MPI's and MPICH's both know -show.
function(eden_mpi_flags wrapper prefix)
    execute_process(COMMAND ${wrapper} -show OUTPUT_VARIABLE line OUTPUT_STRIP_TRAILING_WHITESPACE)
    separate_arguments(words UNIX_COMMAND "${line}")
    set(includes "")
    set(link "")
    foreach(word ${words})
        if(word MATCHES "^-I(.*)")
            list(APPEND includes ${CMAKE_MATCH_1})
        elseif(word MATCHES "^-(L|l|Wl,)")
            list(APPEND link ${word})
        endif()
    endforeach()
    set(${prefix}_INCLUDES ${includes} PARENT_SCOPE)
    set(${prefix}_LINK ${link} PARENT_SCOPE)
endfunction()
