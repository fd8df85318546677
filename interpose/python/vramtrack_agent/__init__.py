# The Python agent of the traced process: what only the interpreter knows, as notes of the trace (contract/facts.def).
# In a traced process its files are embedded and loaded by loader.py, and natives.cpp stands in the place of native.py;
# from the source tree it is imported like any package, for its unit tests (test/agent).
