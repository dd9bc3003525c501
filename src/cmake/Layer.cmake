# matriarch_layer(NAME DEPS layer... [LIBS lib...]): the static library of src/NAME.
#
# Every layer has an include root of its own that holds one link, NAME -> src/NAME. A layer's
# sources see the roots of the layers in DEPS and no other: the arrows of docs/architecture.md are
# enforced by the compiler. Every header is also compiled alone (target check_headers).
function(matriarch_layer name)
    cmake_parse_arguments(arg "" "" "DEPS;LIBS;PRIVATE_LIBS" ${ARGN})
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
    file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.h)
    list(FILTER sources EXCLUDE REGEX "_main\\.cc$")

    # Shared by all build folders, so that ccache finds an object made for another preset.
    set(root ${CMAKE_SOURCE_DIR}/build/layers/${name})
    file(MAKE_DIRECTORY ${root})
    file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${root}/${name} SYMBOLIC)

    set(target matriarch_${name})
    if(sources)
        add_library(${target} STATIC ${sources})
        set(visibility PUBLIC)
        target_link_libraries(${target} PRIVATE matriarch_warnings)
    else()
        add_library(${target} INTERFACE)
        set(visibility INTERFACE)
    endif()
    target_include_directories(${target} ${visibility} ${root})
    list(TRANSFORM arg_DEPS PREPEND matriarch_)
    target_link_libraries(${target} ${visibility} ${arg_DEPS} ${arg_LIBS} Threads::Threads)
    if(sources AND arg_PRIVATE_LIBS)
        target_link_libraries(${target} PRIVATE ${arg_PRIVATE_LIBS})
    endif()

    set(alone)
    foreach(header ${headers})
        get_filename_component(stem ${header} NAME_WE)
        set(file ${CMAKE_BINARY_DIR}/headers/${name}_${stem}.cc)
        file(CONFIGURE OUTPUT ${file} CONTENT "#include \"${name}/${stem}.h\"\n")
        list(APPEND alone ${file})
    endforeach()
    if(alone)
        add_library(check_headers_${name} OBJECT EXCLUDE_FROM_ALL ${alone})
        target_link_libraries(check_headers_${name} PRIVATE ${target} matriarch_warnings)
        add_dependencies(check_headers check_headers_${name})
    endif()
endfunction()

add_custom_target(check_headers COMMENT "Every header compiles alone")

# matriarch_program(NAME MAIN file DEPS layer...): a binary of one main file.
function(matriarch_program name)
    cmake_parse_arguments(arg "" "MAIN" "DEPS;LIBS" ${ARGN})
    add_executable(${name} ${arg_MAIN})
    list(TRANSFORM arg_DEPS PREPEND matriarch_)
    target_link_libraries(${name} PRIVATE ${arg_DEPS} ${arg_LIBS} matriarch_warnings)
    install(TARGETS ${name} RUNTIME DESTINATION bin)
endfunction()
