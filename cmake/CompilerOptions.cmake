# Options that every target of the project is built with.
find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

# One target carries the warnings, so that generated code can be built without them.
add_library(tandem_options INTERFACE)
target_compile_options(tandem_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor)
if(TANDEM_WARNINGS_AS_ERRORS)
  target_compile_options(tandem_options INTERFACE -Werror)
  # GCC sees a move of Abseil's InlinedVector read what was never written: it copies its whole storage.
  target_compile_options(tandem_options INTERFACE
                         "$<$<CXX_COMPILER_ID:GNU>:-Wno-error=uninitialized;-Wno-error=maybe-uninitialized>")
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  target_compile_options(tandem_options INTERFACE -Wthread-safety)
endif()
target_include_directories(tandem_options INTERFACE ${CMAKE_SOURCE_DIR})

if(CMAKE_UNITY_BUILD)
  # Many sources are compiled as one, and GCC takes their unnamed namespaces for those of a header.
  target_compile_options(tandem_options INTERFACE -Wno-subobject-linkage)
endif()

if(TANDEM_SANITIZE)
  # GCC's documentation: with sanitizers this warning finds faults that are none.
  target_compile_options(tandem_options INTERFACE -Wno-maybe-uninitialized)
  add_compile_options(-fsanitize=${TANDEM_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -Og -g1)
  add_link_options(-fsanitize=${TANDEM_SANITIZE})
endif()

find_program(MOLD mold)
if(MOLD AND NOT TANDEM_SANITIZE)
  add_link_options(-fuse-ld=mold)
endif()

# tandem_library(NAME SOURCES...): a folder's target, with the alias tandem::NAME.
function(tandem_library name)
  add_library(tandem_${name} STATIC ${ARGN})
  add_library(tandem::${name} ALIAS tandem_${name})
  target_link_libraries(tandem_${name} PRIVATE tandem_options)
  target_include_directories(tandem_${name} PUBLIC ${CMAKE_SOURCE_DIR})
endfunction()
