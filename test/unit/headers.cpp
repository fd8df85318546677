// Empty: its target owns the headers that are precompiled for all unit tests (cmake/precompile.cmake).
