// Variables that every event reads stand together: a program that does much between two events has thrown most of our
// lines out of the nearest cache, so each line that an event touches costs more than a dozen instructions.
#pragma once

#define VRAMTRACK_HOT [[gnu::section(".vramtrack_hot")]]
