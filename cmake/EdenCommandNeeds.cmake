# What the command needs beyond the library: a CBLAS, zlib and jansson. Without
# one of them only the library is built, and the message says what to install.

find_package(PkgConfig QUIET)
find_package(ZLIB QUIET)
if(PkgConfig_FOUND)
    pkg_check_modules(JANSSON QUIET IMPORTED_TARGET jansson)
    pkg_check_modules(OPENBLAS QUIET IMPORTED_TARGET openblas)
endif()

# Without pkg-config's word for OpenBLAS: any library that comes with cblas.h.
if(NOT OPENBLAS_FOUND)
    find_path(EDEN_CBLAS_INCLUDE cblas.h PATH_SUFFIXES openblas cblas)
    find_library(EDEN_CBLAS_LIBRARY NAMES openblas cblas blis)
endif()

set(missing "")
if(NOT ZLIB_FOUND)
    list(APPEND missing "zlib (Debian: zlib1g-dev)")
endif()
if(NOT JANSSON_FOUND)
    list(APPEND missing "jansson (Debian: libjansson-dev, pkg-config)")
endif()
if(NOT OPENBLAS_FOUND AND NOT (EDEN_CBLAS_INCLUDE AND EDEN_CBLAS_LIBRARY))
    list(APPEND missing "a CBLAS (Debian: libopenblas-dev)")
endif()

if(missing)
    set(EDEN_COMMAND_NEEDS_MET OFF)
    list(JOIN missing ", " missing)
    message(WARNING "The eden command needs ${missing}. Only the library is built; "
                    "-DEDEN_BUILD_COMMAND=OFF says that this is meant.")
else()
    set(EDEN_COMMAND_NEEDS_MET ON)
    add_library(eden-cblas INTERFACE)
    if(OPENBLAS_FOUND)
        target_link_libraries(eden-cblas INTERFACE PkgConfig::OPENBLAS)
    else()
        target_include_directories(eden-cblas INTERFACE ${EDEN_CBLAS_INCLUDE})
        target_link_libraries(eden-cblas INTERFACE ${EDEN_CBLAS_LIBRARY})
    endif()
endif()
