// Variables that every event reads stand together: a program that does much between two events has thrown most of our
// lines out of the nearest cache, so each line that an event touches costs more than a dozen instructions.
//
// The same holds for code, and more so: a processor waits for instructions where it can go on without data. So what an
// event does not run stands elsewhere: in functions marked cold, which the compiler keeps out of their callers,
// together with the branches that lead to them.
#pragma once

#define VRAMTRACK_HOT [[gnu::section(".vramtrack_hot")]]
#define VRAMTRACK_COLD [[gnu::cold, gnu::noinline]]
