# Flags of our own code. Libraries are SYSTEM includes, so their warnings do not stop us.
if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()
# One optimisation level in all presets: the objects of a test build and of the image are the same,
# and ccache serves both. Assertions stay on everywhere: they guard data.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")

find_program(CCACHE ccache)
if(CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
        CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
        CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
endif()

add_library(matriarch_warnings INTERFACE)
target_compile_options(matriarch_warnings INTERFACE
    -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Wnon-virtual-dtor -Werror)

if(MATRIARCH_COVERAGE)
    add_compile_options(--coverage -O1 -fprofile-update=atomic)
    add_link_options(--coverage)
endif()
if(MATRIARCH_SANITIZE)
    add_compile_options(-fsanitize=${MATRIARCH_SANITIZE} -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${MATRIARCH_SANITIZE})
    # GCC 12 sees uninitialised values and null pointers that are none once instrumented.
    target_compile_options(matriarch_warnings INTERFACE -Wno-maybe-uninitialized -Wno-nonnull -Wno-tsan)
else()
    add_compile_options(-fstack-protector-strong -D_GLIBCXX_ASSERTIONS -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
    add_link_options(-Wl,-z,relro,-z,now)
endif()
add_link_options(-Wl,--as-needed -Wl,--gc-sections)
add_compile_options(-ffunction-sections -fdata-sections)
